package journal

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

// Limits of one commit unit; a longer run of a session's ops becomes several.
const (
	maxUnitOps   = 1024
	maxUnitBytes = 8 << 20
	unitOverhead = 512 // record head, meta and a space record that rides along
)

// unit is a run of adjacent ops of one attachment, with contiguous numbers, encoded and ready to be decided on.
type unit struct {
	offer
	ops     []session.Op // read and, where the journal rejects one, changed in place
	payload *log.Payload
}

// newUnit takes as many ops as one unit holds off the front of ops; it encodes them, before any lock is taken.
func newUnit(ops []session.Op) *unit {
	u := &unit{offer: offer{from: ops[0].From, first: ops[0].Sequence}, payload: log.NewPayload()}
	u.dimensions, u.embedders = make([]int, 0, min(len(ops), maxUnitOps)), make([]string, 0, min(len(ops), maxUnitOps))
	for i := range ops {
		op := &ops[i]
		if op.From != u.from || op.Sequence != u.first+uint64(i) || i == maxUnitOps || u.payload.Bytes() >= maxUnitBytes {
			break
		}
		if op.Kind == memory.OpRejected {
			op.Rejection = clipped(op.Rejection)
		}
		u.payload.Add(func(dst []byte) []byte { return appendOp(dst, op.Op) })
		u.dimensions, u.embedders = append(u.dimensions, dimensionOf(op)), append(u.embedders, op.Embedder)
		u.ops = ops[:i+1]
	}
	return u
}

func dimensionOf(op *session.Op) int {
	if op.Kind != memory.OpObserve {
		return 0
	}
	return len(op.Observe.Vector)
}

// clipped bounds the texts of a rejection.
func clipped(r *memory.Rejection) *memory.Rejection {
	return &memory.Rejection{Code: r.Code, Reason: clip(r.Reason), Field: clip(r.Field)}
}

func clip(s string) string {
	if len(s) <= maxReasonBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxReasonBytes], "")
}

// verdict is what became of a unit. With a refusal, nothing of it was appended; else the ops from skip on were.
type verdict struct {
	refusal   *session.Refusal
	skip      int
	duplicate *session.Refusal // for the ops before skip

	incarnation uint64         // of the space
	version     memory.Version // of op number skip; the others follow
	ordinal     memory.Ordinal // likewise
	durable     memory.Durability
	turned      []int // ops that the journal has turned into rejected ones
}

// append decides on a unit and appends what is new of it, in one step, without waiting for the disk. The unit is used
// up. Refusals: superseded (old epoch, or a session that is gone), duplicate, nacked (gap, storage, too many spaces), aborted.
func (s *Store) append(ctx context.Context, u *unit) verdict {
	room, err := s.log.Reserve(ctx, u.payload.Bytes()+unitOverhead)
	if err != nil {
		u.payload.Free()
		return verdict{refusal: &session.Refusal{Verdict: session.Aborted, Cause: err}}
	}
	defer room.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleDeletion(u.from.Space)
	now := s.now()
	d := s.state.decide(&u.offer, now.UnixNano())
	s.tellRejected(&d)
	if d.refusal != nil {
		u.payload.Free()
		return verdict{refusal: d.refusal}
	}
	u.turn(&d)
	u.payload.Drop(d.skip)
	c, err := s.commit(room, u.payload, u.records(&d, now.UnixNano())...)
	if err != nil {
		u.payload.Free()
		return verdict{refusal: storageRefusal(err, u.first+uint64(d.skip))}
	}
	s.state.spaces[u.from.Space].last = c.commit
	s.state.sessions[u.from.SessionID].last = c.commit
	s.touch(u.from.SessionID, now)
	return verdict{
		skip: d.skip, duplicate: d.duplicate, incarnation: d.incarnation, version: d.base, ordinal: memory.Ordinal(c.ordinal), durable: c.commit, turned: d.mismatched,
	}
}

// tellRejected lets a repeated call learn what was rejected of it, from the log, once it is durable.
func (s *Store) tellRejected(d *decision) {
	repeat, ranges := cmp.Or(d.refusal, d.duplicate), d.rejected
	switch {
	case d.forgotten:
		repeat.Rejected = func() ([]session.RejectedRange, error) {
			return nil, fault.New(fault.FailedPrecondition, "the request was answered before, and what of it was rejected is not known any more").
				WithField("request_id").WithReason("REJECTIONS_FORGOTTEN").WithHint("Get tells what of it is stored")
		}
	case len(ranges) > 0:
		repeat.Rejected = func() ([]session.RejectedRange, error) { return s.reasons(ranges) }
	}
}

// turn makes rejected ops of those whose vector does not fit the space, which another writer has just given its dimension
// or its embedder.
func (u *unit) turn(d *decision) {
	if len(d.mismatched) == 0 {
		return
	}
	for _, i := range d.mismatched {
		op := &u.ops[i]
		op.Kind, op.Observe, op.Embedder = memory.OpRejected, nil, ""
		op.Rejection = clipped(u.misfit(d, i))
	}
	again := log.NewPayload()
	for i := range u.ops {
		again.Add(func(dst []byte) []byte { return appendOp(dst, u.ops[i].Op) })
	}
	u.payload.Free()
	u.payload = again
}

// misfit says why the vector of op i does not fit the space.
func (u *unit) misfit(d *decision, i int) *memory.Rejection {
	by := u.embedders[i]
	switch {
	case by != "" && d.embedder == "":
		return &memory.Rejection{Code: fault.InvalidArgument.Code(), Field: "embedding", Reason: fmt.Sprintf(
			"there is no vector, and space %q has no embedder: its vectors come from clients", u.from.Space)}
	case by != "" && by != d.embedder:
		return &memory.Rejection{Code: fault.FailedPrecondition.Code(), Field: "content", Reason: fmt.Sprintf(
			"space %q has its vectors from embedder %q, this server has %q", u.from.Space, d.embedder, by)}
	case by != "":
		return &memory.Rejection{Code: fault.FailedPrecondition.Code(), Field: "content", Reason: fmt.Sprintf(
			"space %q has dimension %d, embedder %q now gives %d", u.from.Space, d.dimension, by, u.dimensions[i])}
	}
	return &memory.Rejection{
		Code: fault.InvalidArgument.Code(), Field: "embedding",
		Reason: fmt.Sprintf("space %q has dimension %d, got %d", u.from.Space, d.dimension, u.dimensions[i]),
	}
}

// records returns what to append for a decision.
func (u *unit) records(d *decision, at int64) []record {
	r := &unitRecord{
		Space: u.from.Space, Incarnation: d.incarnation, Session: u.from.SessionID, Epoch: u.from.Epoch,
		First: u.first + uint64(d.skip), Count: uint64(len(u.ops) - d.skip), Base: d.base,
		Unary: u.from.Unary, Remember: u.from.Remember, At: at, Rejected: rejectedRuns(u.ops[d.skip:]),
	}
	if d.create != nil {
		return []record{d.create, r}
	}
	return []record{r}
}

// rejectedRuns lists the rejected ops, adjacent equal ones joined.
func rejectedRuns(ops []session.Op) (runs []rejectedRun) {
	for i := range ops {
		if ops[i].Kind != memory.OpRejected {
			continue
		}
		n := len(runs)
		if n > 0 && runs[n-1].Start+runs[n-1].Count == uint64(i) && runs[n-1].Rejection == *ops[i].Rejection {
			runs[n-1].Count++
			continue
		}
		runs = append(runs, rejectedRun{Start: uint64(i), Count: 1, Rejection: *ops[i].Rejection})
	}
	return runs
}

// storageRefusal refuses a unit that the log did not take.
func storageRefusal(cause error, expected uint64) *session.Refusal {
	f := fault.As(cause)
	if f == nil || f.Kind != fault.StorageUnavailable {
		return &session.Refusal{Verdict: session.Aborted, Cause: cause}
	}
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Expected: expected, Retry: f.RetryAfter, Cause: cause,
	}
}
