package journal

import (
	"context"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

// deleteTries bounds how often a request waits for another one's deletion that the disk then refuses.
const deleteTries = 3

// DeleteSpace deletes a space with its memories and its sessions; that is durable when it returns. What was appended
// before is gone with it, and what comes later makes a space of the same name in a new incarnation. attached are the
// deleted sessions that a stream serves.
//
// Once that has been decided on, ctx does not cut the wait for the disk short: the caller has the sessions' streams to
// tell.
//
// Errors: fault.NotFound SPACE_NOT_FOUND, fault.StorageUnavailable (the space and its sessions go on).
func (s *Store) DeleteSpace(ctx context.Context, name string) (deleted memory.Space, attached []string, err error) {
	room, err := s.reserveControl(ctx, 1)
	if err != nil {
		return memory.Space{}, nil, err
	}
	defer room.Release()
	for range deleteTries {
		d, err := s.deleteSpace(room, name)
		if err != nil {
			return memory.Space{}, nil, err
		}
		if d.fate != nil {
			err := await(context.WithoutCancel(ctx), d.fate)
			s.mu.Lock()
			s.settle()
			s.mu.Unlock()
			return d.space, d.attached, err
		}
		if err := await(ctx, d.other); ctx.Err() != nil {
			return memory.Space{}, nil, err
		}
	}
	return memory.Space{}, nil, fault.New(fault.StorageUnavailable, "the space was to be deleted %d times, and the disk refused it", deleteTries).
		WithOp("delete space").WithSubject(subject(name)).WithRetryAfter(takeoverRetry)
}

// deletion is a space's deletion on its way to the disk: the caller's own, or another's, which he has to wait for.
type deletion struct {
	space       memory.Space
	attached    []string
	fate, other memory.Durability // one of them is set
}

func (s *Store) deleteSpace(room *log.Reservation, name string) (deletion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	sp := s.state.spaces[name]
	switch {
	case sp == nil:
		return deletion{}, memory.NoSpace().WithOp("delete space").WithSubject(subject(name)).WithField("name")
	case sp.deleting:
		return deletion{other: sp.last}, nil
	}
	c, err := s.commit(room, nil, &deletedRecord{Space: name, Incarnation: sp.Incarnation, At: s.now().UnixNano()})
	if err != nil {
		return deletion{}, err
	}
	d := deletion{space: sp.Space, fate: c.commit}
	sp.last = c.commit
	for _, se := range s.state.steps[len(s.state.steps)-1].ends {
		se.ended = c.commit
		if _, ok := s.presence.attached[se.id]; ok {
			d.attached = append(d.attached, se.id)
		}
	}
	return d, nil
}

// settleDeletion lets a deletion that is durable take effect before something is decided on the space. Callers hold mu.
func (s *Store) settleDeletion(name string) {
	if sp := s.state.spaces[name]; sp != nil && sp.deleting && !undecided(sp.last) {
		s.settle()
	}
}

// applyDeleted ends a space. It stays until that is settled, so that a rollback finds it as it was; nothing is decided on
// it meanwhile.
func (s *state) applyDeleted(lsn log.LSN, r *deletedRecord) error {
	sp := s.spaces[r.Space]
	if sp == nil || sp.deleting || sp.Incarnation != r.Incarnation {
		return contradiction(lsn, "space %q incarnation %d is deleted and does not exist", r.Space, r.Incarnation)
	}
	now, rejected, last := s.now, s.rejected, sp.last
	s.tick(r.At)
	sp.deleting = true
	over, calls := s.dismiss(r.Space)
	st := s.done(lsn, nil, nil, func() {
		for _, se := range over {
			delete(s.ending, se.id)
			s.enter(se)
		}
		for _, se := range calls {
			se.gone = false
			s.enter(se)
		}
		sp.deleting, sp.last = false, last
		s.now, s.rejected = now, rejected
	})
	st.ends, st.deletes = over, sp
	return nil
}

// dismiss ends the sessions of a space: those that a client may resume, and those of unary calls, whose places in their
// line stay taken.
func (s *state) dismiss(space string) (over, calls []*sess) {
	for se := range s.bySpace[space] {
		s.drop(se)
		if se.unary {
			se.gone = true
			calls = append(calls, se)
			continue
		}
		s.ending[se.id] = se
		over = append(over, se)
	}
	return over, calls
}

// errDeleting holds off what would be decided on a space whose deletion is on its way to the disk.
var errDeleting = fault.New(fault.Unavailable, "the space is being deleted").WithReason("SPACE_DELETING").WithRetryAfter(takeoverRetry)

// beingDeleted is that to an offer: it is to come again once the deletion is decided.
func beingDeleted(expected uint64) *session.Refusal {
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Expected: expected, Retry: takeoverRetry, Late: true, Cause: errDeleting,
	}
}
