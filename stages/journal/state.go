package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/journal/log"
)

// Limits of the state. What is beyond one is refused or the oldest goes, as the field it bounds says.
const (
	maxRemembered  = 100_000          // unary calls with a request id; the oldest go
	rememberFor    = 10 * time.Minute // likewise
	maxOneShot     = 1 << 16          // other unary calls: only as long as their own batches may still arrive
	oneShotFor     = time.Minute
	maxReasonBytes = 256
)

// state is the journal's state machine: what the log's records say about spaces and sessions. It is deterministic and
// has no I/O, goroutine or clock: the same records in the same order make the same state, live or at replay.
//
// The live store applies a record when it is appended, before it is durable. Each apply leaves a way back, used by
// rollback and dropped by settle. Not safe for concurrent use.
type state struct {
	maxSpaces   int // what is decided on new ones; a replay takes what there is
	maxRanges   int // of rejected numbers a session
	maxRejected int // of them over all sessions
	spaces      map[string]*space
	names       []string // of spaces, sorted
	sessions    map[string]*sess
	bySpace     map[string]map[*sess]struct{} // the same, by the name of their space, whether there is one or not
	ending      map[string]*sess              // ended by a record that is not settled: not in sessions any more, and back there on a rollback
	ids         idList                        // of the sessions that a client may resume, those that are ending included
	remembered  fifo
	oneShot     fifo
	rejected    int    // ranges of rejected numbers, over all sessions
	incarnation uint64 // the last one given
	now         int64  // the latest time any record has told

	steps []step // applied and not settled, oldest first
}

// space is a space's part of the state.
type space struct {
	memory.Space                   // Committed is not kept here: see next and public
	next         memory.Version    // the version that the next op takes
	public       memory.Space      // as of the last settled record; Incarnation 0: not yet
	last         memory.Durability // the fate of the last append to it; nil: durable. As sess.last
	deleting     bool              // by a record that is not settled, whose fate last is; nothing is decided on it meanwhile
}

// sess is a session's part of the state.
type sess struct {
	id        string
	space     string
	epoch     uint64
	standing  uint64 // the epoch that the session goes back to if taken fails
	writer    string // of the epoch; may be empty
	heldSince uint64 // the epoch since which writer alone has held it
	expected  uint64 // E: the next sequence number
	tokenHash [32]byte
	ttl       time.Duration
	opened    int64
	unary     bool
	gone      bool // of a unary call: deleted with its space, and still in its line
	remember  bool
	version   memory.Version // of the last op; 0: none yet
	rejected  rejections
	public    progress // as of the last settled record

	// last is the fate of the last append of the session, taken that of the resume which began its epoch; nil: durable.
	// ended is that of its end, while it is ending. The store's own: the state carries them only so that a rollback takes
	// them back too.
	last, taken, ended memory.Durability
}

// progress is how far a session has come.
type progress struct {
	epoch     uint64 // 0: its opening is not settled
	committed uint64 // E - 1
	version   memory.Version
}

func (se *sess) progress() progress {
	return progress{epoch: se.epoch, committed: se.expected - 1, version: se.version}
}

// step is one applied record: how to take it back, and what of it readers may see once it is durable.
type step struct {
	lsn    log.LSN
	back   func()
	space  *space // nil: the record changed none
	public memory.Space

	session  *sess // nil: the record changed none
	progress progress

	ends    []*sess // the sessions that the record ended
	deletes *space  // the space that it deleted; nil: none
}

func newState(maxSpaces int) *state {
	return &state{maxSpaces: maxSpaces, maxRanges: maxRejectedRanges, maxRejected: maxAllRejected, spaces: map[string]*space{}, sessions: map[string]*sess{}, bySpace: map[string]map[*sess]struct{}{}, ending: map[string]*sess{}}
}

// apply takes a record over. An error says that the record contradicts the state; nothing has changed then.
func (s *state) apply(lsn log.LSN, r record) error {
	switch r := r.(type) {
	case *unitRecord:
		return s.applyUnit(lsn, r)
	case *spaceRecord:
		return s.applySpace(lsn, r)
	case *openedRecord:
		return s.applyOpened(lsn, r)
	case *resumedRecord:
		return s.applyResumed(lsn, r)
	case *endedRecord:
		return s.applyEnded(lsn, r)
	case *deletedRecord:
		return s.applyDeleted(lsn, r)
	}
	return contradiction(lsn, "record of type %T", r)
}

// outcome is what is over with the records that have been settled.
type outcome struct {
	ended   []string       // sessions, by id
	deleted []memory.Space // as they were
}

// settle drops the ways back of all records up to the durable one, and lets readers see them.
func (s *state) settle(durable log.LSN) (over outcome) {
	n := 0
	for n < len(s.steps) && s.steps[n].lsn <= durable {
		st := &s.steps[n]
		st.settle()
		for _, se := range st.ends {
			delete(s.ending, se.id)
			s.ids.remove(se.id)
			over.ended = append(over.ended, se.id)
		}
		if st.deletes != nil {
			over.deleted = append(over.deleted, st.deletes.Space)
			delete(s.spaces, st.deletes.Name)
			s.removeName(st.deletes.Name)
		}
		n++
	}
	clear(s.steps[:n])
	s.steps = s.steps[n:]
	return over
}

// settle lets readers see what the record changed.
func (st *step) settle() {
	if st.space != nil {
		st.space.public = st.public
	}
	if st.session != nil {
		st.session.public = st.progress
	}
}

// rollback takes back every record after the durable one, newest first. It returns what settle does.
func (s *state) rollback(durable log.LSN) outcome {
	over := s.settle(durable)
	for _, st := range slices.Backward(s.steps) {
		st.back()
	}
	s.steps = nil
	return over
}

// done keeps the way back of a record that is applied, with the space and the session that it changed, nil for none.
func (s *state) done(lsn log.LSN, sp *space, se *sess, back func()) *step {
	st := step{lsn: lsn, back: back, space: sp, session: se}
	if sp != nil {
		st.public = sp.Space
		st.public.Committed = sp.next - 1
		st.public.Settled = true
	}
	if se != nil {
		st.progress = se.progress()
	}
	s.steps = append(s.steps, st)
	return &s.steps[len(s.steps)-1]
}

// known returns a session that is open, or whose end is not settled; nil when there is none.
func (s *state) known(id string) *sess {
	if se := s.sessions[id]; se != nil {
		return se
	}
	return s.ending[id]
}

// tick moves the state's clock to a record's time; it never goes back.
func (s *state) tick(at int64) { s.now = max(s.now, at) }

func (s *state) applySpace(lsn log.LSN, r *spaceRecord) error {
	sp := s.spaces[r.Space]
	if sp == nil {
		return s.createSpace(lsn, r)
	}
	if sp.Incarnation != r.Incarnation || sp.Dimension != 0 {
		return contradiction(lsn, "space %q is made again", r.Space)
	}
	before, now := *sp, s.now
	s.tick(r.At)
	sp.Dimension, sp.Metric, sp.Embedder = r.Dimension, r.Metric, r.Embedder
	s.done(lsn, sp, nil, func() { restoreSpace(sp, before); s.now = now })
	return nil
}

func (s *state) createSpace(lsn log.LSN, r *spaceRecord) error {
	if r.Incarnation <= s.incarnation {
		return contradiction(lsn, "space %q has incarnation %d, after %d", r.Space, r.Incarnation, s.incarnation)
	}
	incarnation, now := s.incarnation, s.now
	s.tick(r.At)
	s.incarnation = r.Incarnation
	sp := &space{next: 1, Space: memory.Space{
		Name: r.Space, Incarnation: r.Incarnation, Dimension: r.Dimension, Metric: r.Metric, Embedder: r.Embedder,
		CreatedAt: time.Unix(0, r.At).UTC(),
	}}
	s.spaces[r.Space] = sp
	s.insertName(r.Space)
	s.done(lsn, sp, nil, func() {
		delete(s.spaces, r.Space)
		s.removeName(r.Space)
		s.incarnation, s.now = incarnation, now
	})
	return nil
}

// restoreSpace takes a space back, except for what is durable of it.
func restoreSpace(sp *space, before space) {
	before.public = sp.public
	*sp = before
}

// restoreSession takes a session back, except for what is durable of it.
func restoreSession(se *sess, before sess) {
	before.public = se.public
	*se = before
}

func (s *state) insertName(name string) {
	i, _ := slices.BinarySearch(s.names, name)
	s.names = slices.Insert(s.names, i, name)
}

func (s *state) removeName(name string) {
	if i, ok := slices.BinarySearch(s.names, name); ok {
		s.names = slices.Delete(s.names, i, i+1)
	}
}

func (s *state) applyUnit(lsn log.LSN, r *unitRecord) error {
	sp, se := s.spaces[r.Space], s.sessions[r.Session]
	if err := checkUnit(lsn, r, sp, se); err != nil {
		return err
	}
	undoOpen := func() {}
	if se == nil {
		se, undoOpen = s.openUnary(r)
	}
	before, last, now, rejected := *se, sp.last, s.now, s.rejected
	s.tick(r.At)
	evicted := s.evictUnary(se)
	sp.next += memory.Version(r.Count)
	se.expected += r.Count
	se.version = sp.next - 1
	undoRejected := s.addRejected(se, r)
	s.done(lsn, sp, se, func() {
		sp.next -= memory.Version(r.Count)
		sp.last = last
		s.readmitUnary(evicted)
		undoRejected()
		restoreSession(se, before)
		s.now, s.rejected = now, rejected
		undoOpen()
	})
	return nil
}

// addRejected adds the rejections of a unit to its session's.
func (s *state) addRejected(se *sess, r *unitRecord) (undo func()) {
	if len(r.Rejected) == 0 {
		return func() {}
	}
	held := len(se.rejected.ranges)
	undo = se.rejected.add(r, s.rangesKept())
	s.rejected += len(se.rejected.ranges) - held
	return undo
}

// rangesKept is how many ranges a session may have that adds some: fewer the more there are over all, so that a few
// sessions full of rejections leave room for those with few.
func (s *state) rangesKept() int {
	share := 1
	switch {
	case s.rejected >= s.maxRejected:
		share = 4096
	case s.rejected >= s.maxRejected/4*3:
		share = 256
	case s.rejected >= s.maxRejected/2:
		share = 16
	}
	return max(s.maxRanges/share, 1)
}

// checkUnit compares a unit with what the state expects of the next one.
func checkUnit(lsn log.LSN, r *unitRecord, sp *space, se *sess) error {
	switch {
	case sp == nil || sp.Incarnation != r.Incarnation:
		return contradiction(lsn, "unit for space %q incarnation %d, which does not exist", r.Space, r.Incarnation)
	case sp.next != r.Base:
		return contradiction(lsn, "unit with version %d in space %q, expected %d", r.Base, r.Space, sp.next)
	case se == nil && (!r.Unary || r.First != 1):
		return contradiction(lsn, "unit of session %s, which is not open", r.Session)
	case se != nil && (se.expected != r.First || se.epoch != r.Epoch || se.space != r.Space):
		return contradiction(lsn, "unit of session %s from number %d in epoch %d, expected %d in epoch %d",
			r.Session, r.First, r.Epoch, se.expected, se.epoch)
	}
	return nil
}

func contradiction(lsn log.LSN, format string, args ...any) error {
	return fault.New(fault.Corrupt, "record %d contradicts those before it: %s", lsn, fmt.Sprintf(format, args...)).
		WithOp("replay journal").WithReason("JOURNAL_CORRUPT").
		WithHint("restore the data folder from a copy")
}
