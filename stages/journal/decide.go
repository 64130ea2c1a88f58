package journal

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// Limits on how long a session outlives its stream.
const (
	defaultDetachTTL = time.Hour
	minDetachTTL     = time.Minute
	maxDetachTTL     = 7 * 24 * time.Hour
)

// spacesRetry is how long a client waits that found no room for its space: until someone deletes one.
const spacesRetry = 5 * time.Second

// offer is a run of ops that asks to be appended: numbers first, first+1, … of one attachment.
type offer struct {
	from       *session.Attachment
	first      uint64
	dimensions []int    // one an op; 0: it has no vector
	embedders  []string // likewise: what made the vector; empty: the client did
}

func (o *offer) last() uint64 { return o.first + uint64(len(o.dimensions)) - 1 }

// decision is what becomes of an offer. With a refusal, nothing of it is appended. Else the ops from skip on are; those
// before are known already, and duplicate says so.
type decision struct {
	refusal   *session.Refusal
	skip      int
	duplicate *session.Refusal // for the skipped; nil when there are none
	rejected  []rejectedRange  // what was rejected of a unary call's duplicates
	forgotten bool             // not all of it is known any more

	create      *spaceRecord // to be appended first, when the space is new or gets its dimension now
	incarnation uint64
	base        memory.Version
	dimension   int    // the space's from now on; 0: still open
	embedder    string // likewise; empty: vectors come from clients, once there is a dimension
	mismatched  []int  // indexes, from skip on, of ops whose vector does not fit the space: they become rejected ops
}

// decide judges an offer against the state, at time at (nanoseconds). It changes nothing.
func (s *state) decide(o *offer, at int64) decision {
	se := s.sessions[o.from.SessionID]
	expected := uint64(1)
	switch e := s.ending[o.from.SessionID]; {
	case e != nil && undecided(e.ended):
		return decision{refusal: e.whileEnding(o)}
	case se == nil && !o.from.Unary:
		return decision{refusal: &session.Refusal{Verdict: session.Superseded, Cause: sessionGone(o.from.SessionID)}}
	case se != nil && se.takenFrom(o.from.Epoch):
		return decision{refusal: heldOff(min(o.first, se.expected))}
	case se != nil && (se.epoch != o.from.Epoch || se.space != o.from.Space):
		return decision{refusal: session.ErrSuperseded}
	case se != nil:
		expected = se.expected
	}
	if o.first > expected {
		return decision{refusal: &session.Refusal{Verdict: session.Nacked, Nack: session.NackSequenceGap, Expected: expected}}
	}
	if o.last() < expected {
		d := decision{refusal: duplicateOf(se)}
		d.repeat(se, o.first, o.last())
		return d
	}
	d := decision{skip: int(expected - o.first)}
	if d.skip > 0 {
		d.duplicate = duplicateOf(se)
		d.repeat(se, o.first, expected-1)
	}
	s.place(&d, o, at)
	return d
}

// undecided says whether an append is still on its way to the disk.
func undecided(d memory.Durability) bool {
	if d == nil {
		return false
	}
	select {
	case <-d.Done():
		return false
	default:
		return true
	}
}

// takenFrom reports whether a takeover from the attachment of an epoch is on its way to the disk.
func (se *sess) takenFrom(epoch uint64) bool { return se.standing == epoch && undecided(se.taken) }

// whileEnding refuses an offer to a session whose end is on its way to the disk: the attachment that goes on if the disk
// refuses that is held off.
func (se *sess) whileEnding(o *offer) *session.Refusal {
	if se.epoch == o.from.Epoch || se.takenFrom(o.from.Epoch) {
		return heldOff(min(o.first, se.expected))
	}
	return session.ErrSuperseded
}

// takeoverRetry is how long a stream waits whose session is being taken over or ended: about as long as that takes.
const takeoverRetry = 50 * time.Millisecond

// heldOff refuses what an attachment sends whose session is being taken over or ended: it is superseded once that is
// durable, and goes on if it never is.
func heldOff(expected uint64) *session.Refusal {
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Expected: expected, Retry: takeoverRetry, Late: true,
		Cause: fault.New(fault.Unavailable, "the session is being ended, or taken over by a newer stream").WithReason("TAKEOVER"),
	}
}

// duplicateOf refuses numbers that the session has consumed before.
func duplicateOf(se *sess) *session.Refusal {
	if se == nil { // number 0: nobody's, and no session's first
		return &session.Refusal{Verdict: session.Duplicate}
	}
	return &session.Refusal{Verdict: session.Duplicate, Durable: se.last, Version: se.version}
}

// repeat notes what was rejected of the numbers that a unary call repeats: its answer tells it again. A stream has been
// told in an ack.
func (d *decision) repeat(se *sess, first, last uint64) {
	if se != nil && se.unary {
		d.rejected, d.forgotten = se.rejected.within(first, last), first <= se.rejected.forgotten
	}
}

// place finds the versions, the dimension and the embedder for an offer that will be appended.
func (s *state) place(d *decision, o *offer, at int64) {
	sp, name := s.spaces[o.from.Space], o.from.Space
	if sp != nil && sp.deleting {
		d.refusal = beingDeleted(o.first + uint64(d.skip))
		return
	}
	if sp == nil && len(s.spaces) >= s.maxSpaces {
		d.refusal = &session.Refusal{Verdict: session.Nacked, Nack: session.NackResourceExhausted, Expected: o.first + uint64(d.skip), Retry: spacesRetry, Late: true, Cause: s.tooManySpaces(name)}
		return
	}
	first, by := o.firstVector(d.skip)
	d.base, d.dimension, d.embedder = 1, first, by
	switch {
	case sp == nil:
		d.incarnation = s.incarnation + 1
		d.create = &spaceRecord{Space: name, Incarnation: d.incarnation, Dimension: first, Metric: memory.Cosine, At: at, Embedder: by}
	case sp.Dimension == 0 && first != 0:
		d.base, d.incarnation = sp.next, sp.Incarnation
		d.create = &spaceRecord{Space: name, Incarnation: sp.Incarnation, Dimension: first, Metric: sp.Metric, At: at, Embedder: by}
	default:
		d.base, d.incarnation, d.dimension, d.embedder = sp.next, sp.Incarnation, sp.Dimension, sp.Embedder
	}
	for i, dimension := range o.dimensions[d.skip:] {
		by := o.embedders[d.skip+i]
		if dimension != 0 && (dimension != d.dimension || by != "" && by != d.embedder) {
			d.mismatched = append(d.mismatched, d.skip+i)
		}
	}
}

// firstVector returns the dimension of the first vector from an op on, and what made it; 0 without one.
func (o *offer) firstVector(from int) (dimension int, embedder string) {
	for i, d := range o.dimensions[from:] {
		if d != 0 {
			return d, o.embedders[from+i]
		}
	}
	return 0, ""
}

// decideCreate judges a request for a space. It returns a record to append, or nil when an equal one exists.
func (s *state) decideCreate(want memory.Space, at int64) (*spaceRecord, error) {
	if want.Metric == 0 {
		want.Metric = memory.Cosine
	}
	if err := checkSpace(want); err != nil {
		return nil, err
	}
	sp := s.spaces[want.Name]
	switch {
	case sp == nil && len(s.spaces) >= s.maxSpaces:
		return nil, s.tooManySpaces(want.Name)
	case sp == nil:
		return &spaceRecord{Space: want.Name, Incarnation: s.incarnation + 1, Dimension: want.Dimension, Metric: want.Metric, At: at, Embedder: want.Embedder}, nil
	case sp.Dimension == want.Dimension && sp.Metric == want.Metric && sp.Embedder == want.Embedder:
		return nil, nil
	case sp.Dimension == 0:
		return &spaceRecord{Space: want.Name, Incarnation: sp.Incarnation, Dimension: want.Dimension, Metric: want.Metric, At: at, Embedder: want.Embedder}, nil
	}
	return nil, fault.New(fault.AlreadyExists, "it exists with dimension %d, metric %s and %s, asked for %d, %s and %s",
		sp.Dimension, sp.Metric, named(sp.Embedder), want.Dimension, want.Metric, named(want.Embedder)).
		WithOp("create space").WithSubject(subject(want.Name)).
		WithHint("a space's dimension, metric and embedder never change; choose another name")
}

// named names an embedder in a sentence.
func named(embedder string) string {
	if embedder == "" {
		return "no embedder"
	}
	return fmt.Sprintf("embedder %q", embedder)
}

func checkSpace(want memory.Space) error {
	wrong := func(field, format string, args ...any) *fault.Error {
		return fault.New(fault.InvalidArgument, format, args...).WithOp("create space").WithField(field).WithReason("INVALID_FIELD")
	}
	switch {
	case want.Name == "" || len(want.Name) > memory.MaxSpaceName:
		return wrong("space.name", "a space's name has 1 to %d characters", memory.MaxSpaceName)
	case want.Dimension < 1 || want.Dimension > memory.MaxDimension:
		return wrong("space.dimension", "dimension %d is not between 1 and %d", want.Dimension, memory.MaxDimension).WithSubject(subject(want.Name)).
			WithHint("give the dimension of your vectors, or an embedder for texts")
	case want.Metric > memory.L2:
		return wrong("space.metric", "metric %d is unknown", want.Metric).WithSubject(subject(want.Name))
	case len(want.Embedder) > memory.MaxEmbedder:
		return wrong("space.embedder", "an embedder's identity has at most %d bytes", memory.MaxEmbedder).WithSubject(subject(want.Name))
	}
	return nil
}

// decideResume judges a request to resume; it returns the record to append. It changes nothing.
func (s *state) decideResume(q session.OpenRequest, at int64) (*resumedRecord, error) {
	se := s.sessions[q.SessionID]
	if se == nil || se.unary {
		return nil, sessionGone(q.SessionID)
	}
	if !se.ownedBy(q.Token) {
		return nil, wrongToken(q.SessionID).WithOp("open session").WithField("hello.resume_token")
	}
	if se.space != q.Space {
		return nil, fault.New(fault.FailedPrecondition, "the session belongs to space %q, not to %q", se.space, q.Space).WithOp("open session").
			WithSubject("session " + q.SessionID).WithField("hello.space").WithReason("WRONG_SPACE")
	}
	if committed := se.expected - 1; q.LastCommitted > committed {
		return nil, fault.New(fault.FailedPrecondition, "the client saw %d committed, the server has %d", q.LastCommitted, committed).
			WithOp("open session").WithSubject("session " + q.SessionID).WithField("hello.last_committed_sequence").
			WithReason("COMMITTED_AHEAD").
			WithHint("the server's data was restored from an older copy; open a new session and decide what to send again")
	}
	// A new writer that knows of nothing has nothing in flight, and begins anew behind what is committed. Any other must
	// learn of every rejection.
	anew := q.LastCommitted == 0 && q.Writer != "" && q.Writer != se.writer
	if forgotten := se.rejected.forgotten; q.LastCommitted < forgotten && !anew {
		return nil, fault.New(fault.FailedPrecondition, "more was rejected after %d than is kept: which numbers up to %d were is not known any more",
			q.LastCommitted, forgotten).WithOp("open session").WithSubject("session " + q.SessionID).
			WithField("hello.last_committed_sequence").WithReason("REJECTIONS_FORGOTTEN").
			WithHint("a new writer_id and last_committed_sequence 0 go on without learning of them; Get tells what is stored")
	}
	return &resumedRecord{Session: se.id, Epoch: se.epoch + 1, LastCommitted: q.LastCommitted, At: at, Writer: q.Writer}, nil
}

// settleTTL settles how long a new session outlives its stream; a client that does not ask gets usual.
func settleTTL(asked, usual time.Duration) (time.Duration, error) {
	switch {
	case asked == 0:
		return usual, nil
	case asked < minDetachTTL || asked > maxDetachTTL:
		return 0, fault.New(fault.InvalidArgument, "detach_ttl %s is not between %s and %s", asked, minDetachTTL, maxDetachTTL).
			WithOp("open session").WithField("hello.detach_ttl")
	}
	return asked, nil
}

// ownedBy reports whether a token is the session's.
func (se *sess) ownedBy(token []byte) bool {
	hash := sha256.Sum256(token)
	return subtle.ConstantTimeCompare(hash[:], se.tokenHash[:]) == 1
}

func wrongToken(id string) *fault.Error {
	return fault.New(fault.PermissionDenied, "the resume token is not this session's").WithSubject("session " + id).
		WithReason("WRONG_TOKEN").WithHint("send the token that the session's Welcome gave")
}

func sessionGone(id string) *fault.Error {
	return fault.New(fault.NotFound, "the session is unknown or has expired").WithOp("open session").
		WithSubject("session " + id).WithField("hello.session_id").WithReason("SESSION_EXPIRED").
		WithHint("open a new session; to store again what may be stored already, give explicit memory ids")
}

func (s *state) tooManySpaces(name string) error {
	return fault.New(fault.ResourceExhausted, "there are %d spaces already; the limit is %d", len(s.spaces), s.maxSpaces).
		WithOp("create space").WithSubject(subject(name)).WithReason("TOO_MANY_SPACES").WithRetryAfter(spacesRetry).
		WithHint("raise limits.spaces in the pipeline, or use a space that exists")
}

func subject(space string) string { return "space \"" + space + "\"" }
