package journal

import (
	"context"

	"github.com/engram-stream/engram/internal/session"
)

// maxRosterScan is how many sessions are looked at before the lock is given up for a moment: some 50 microseconds.
const maxRosterScan = 1024

// Session describes a session that a client may resume: its epoch and numbers are those that are durable, and whether it
// has a stream is as of now. One whose end is on its way to the disk is described as if it were not. Without a token it
// is an operator who asks.
//
// Errors: fault.NotFound SESSION_EXPIRED (unknown, expired or ended), fault.PermissionDenied (wrong token).
func (s *Store) Session(id string, token []byte) (session.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	se := s.state.known(id)
	if se == nil || !s.visible(se) {
		return session.Status{}, gone(id, "get session")
	}
	if err := se.checkOwner(token, "get session"); err != nil {
		return session.Status{}, err
	}
	return s.describe(se), nil
}

// ListSessions returns up to limit of the sessions that Session describes, with ids after the given one, by id; only
// those of a space unless that is empty. It looks at all of them if it must, some at a time, until ctx ends.
func (s *Store) ListSessions(ctx context.Context, space, after string, limit int) ([]session.Status, error) {
	var page []session.Status
	for more := true; more && len(page) < limit; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, after, more = s.scanSessions(page, space, after, limit)
	}
	return page, nil
}

// scanSessions adds to a page, and returns the id that it came to and whether there are more.
func (s *Store) scanSessions(page []session.Status, space, after string, limit int) (_ []session.Status, last string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	ids := s.state.ids.after(after, maxRosterScan)
	for _, id := range ids {
		se := s.state.known(id)
		if (space == "" || se.space == space) && s.visible(se) {
			page = append(page, s.describe(se))
		}
		if after = id; len(page) >= limit {
			break
		}
	}
	return page, after, len(ids) == maxRosterScan
}

// visible reports whether a session is there for others than its client: opened durably, and not expired. Callers hold mu
// and have settled.
func (s *Store) visible(se *sess) bool {
	return !se.unary && se.public.epoch != 0 && s.presence.knows(se.id) && !s.presence.expired(se.id, s.now())
}

// describe returns what is durable of a visible session, and whether a stream serves it. Callers hold mu.
func (s *Store) describe(se *sess) session.Status {
	if a := s.presence.detached[se.id]; a != nil {
		st := se.status(se.public, session.Detached)
		st.Expires = a.deadline
		return st
	}
	return se.status(se.public, session.Attached)
}

func (se *sess) status(at progress, state session.State) session.Status {
	return session.Status{
		SessionID: se.id, Space: se.space, State: state, Epoch: at.epoch, Committed: at.committed, Version: at.version,
	}
}
