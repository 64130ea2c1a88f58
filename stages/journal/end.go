package journal

import (
	"context"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

// endTries bounds how often a decision on a session waits for an end of it that the disk then refuses.
const endTries = 3

// EndSession ends a session for good as its stream asks; that is durable when it returns. A fault.Aborted says that a
// newer attachment has taken it over, a fault.NotFound that it is unknown, has expired or has been ended.
func (s *Store) EndSession(ctx context.Context, id string, epoch uint64) error {
	e, err := s.end(ctx, id, func(se *sess) error {
		if se.epoch != epoch {
			return fault.New(fault.Aborted, "a newer stream has taken the session over").WithOp("end session").
				WithSubject("session " + id).WithReason("FENCED")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return await(ctx, e.fate)
}

// DismissSession ends a session for good whatever its epoch, a takeover under way included, and returns it as it ended;
// that is durable when it returns. Of what its stream has sent, what was appended before is kept, and what comes later is
// superseded. Without a token it is an operator who asks.
//
// Once the end has been decided on, ctx does not cut the wait for the disk short: the caller has the session's stream to
// tell, which may be silent for ever.
//
// Errors: fault.NotFound SESSION_EXPIRED (unknown, expired or ended), fault.PermissionDenied (wrong token),
// fault.StorageUnavailable (the session goes on).
func (s *Store) DismissSession(ctx context.Context, id string, token []byte) (session.Status, error) {
	e, err := s.end(ctx, id, func(se *sess) error { return se.checkOwner(token, "end session") })
	if err != nil {
		return session.Status{}, err
	}
	return e.as, await(context.WithoutCancel(ctx), e.fate)
}

// end is a session's end on its way to the disk.
type end struct {
	as   session.Status // the session as it ended
	fate memory.Durability
}

// end appends a session's end if allowed has no objection.
func (s *Store) end(ctx context.Context, id string, allowed func(*sess) error) (e end, err error) {
	room, err := s.reserveControl(ctx, 1)
	if err != nil {
		return end{}, err
	}
	defer room.Release()
	err = s.afterEnd(ctx, id, func() error {
		se := s.state.sessions[id]
		if se == nil || !s.visible(se) {
			return gone(id, "end session")
		}
		if err := allowed(se); err != nil {
			return err
		}
		e.as = se.status(se.progress(), session.Ended)
		c, err := s.commitEnds(room, &endedRecord{Session: id, Epoch: se.epoch, At: s.now().UnixNano()})
		e.fate = c.commit
		return err
	})
	return e, err
}

// commitEnds is commit for the ends of sessions. Callers hold mu and have decided under it.
func (s *Store) commitEnds(room *log.Reservation, ends ...record) (change, error) {
	c, err := s.commit(room, nil, ends...)
	if err != nil {
		return change{}, err
	}
	for _, r := range ends {
		s.state.ending[r.(*endedRecord).Session].ended = c.commit
	}
	return c, nil
}

// afterEnd calls decide under mu, unless an end of the session is on its way to the disk: then once that is over, since
// the session may outlive it.
func (s *Store) afterEnd(ctx context.Context, id string, decide func() error) error {
	for range endTries {
		ending, err := s.unlessEnding(id, decide)
		if ending == nil {
			return err
		}
		if err := await(ctx, ending); ctx.Err() != nil {
			return err
		}
	}
	return fault.New(fault.StorageUnavailable, "the session was to end %d times, and the disk refused it", endTries).
		WithSubject("session " + id).WithRetryAfter(takeoverRetry)
}

func (s *Store) unlessEnding(id string, decide func() error) (ending memory.Durability, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if se := s.state.ending[id]; se != nil {
		return se.ended, nil
	}
	return nil, decide()
}

// checkOwner compares a token with the session's; nobody's is an operator's.
func (se *sess) checkOwner(token []byte, op string) error {
	if len(token) > 0 && !se.ownedBy(token) {
		return wrongToken(se.id).WithOp(op).WithField("resume_token")
	}
	return nil
}

// gone is sessionGone to who asks for a session that need not be his own.
func gone(id, op string) error {
	return sessionGone(id).WithOp(op).WithField("").WithHint("ListSessions tells which there are")
}
