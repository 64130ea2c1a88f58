package journal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

const (
	tokenBytes     = 16
	sessionIDBytes = 16
	sessionPrefix  = "s" // what a client may resume; unary sessions have others
)

// OpenSession opens a new session, or resumes one in its next epoch; that is durable when it returns. From the moment
// of deciding on, what older attachments append is superseded.
//
// Errors: fault.NotFound SESSION_EXPIRED (unknown or expired), fault.PermissionDenied (wrong token),
// fault.FailedPrecondition (another space; or the client saw more committed than there is, both numbers said),
// fault.InvalidArgument (detach TTL), fault.ResourceExhausted (a new space over the limit), fault.StorageUnavailable.
func (s *Store) OpenSession(ctx context.Context, q session.OpenRequest) (session.Grant, error) {
	room, err := s.reserveControl(ctx, 1)
	if err != nil {
		return session.Grant{}, err
	}
	defer room.Release()
	o, err := s.openOrResume(ctx, q, room)
	if err != nil {
		return session.Grant{}, err
	}
	if err := await(ctx, o.commit); err != nil {
		s.DetachSession(o.SessionID, o.Epoch)
		return session.Grant{}, err
	}
	if o.Rejected, err = s.reasons(o.rejected); err != nil {
		s.DetachSession(o.SessionID, o.Epoch)
		return session.Grant{}, err
	}
	return s.withSpace(o.Grant, q.Space), nil
}

// opening is a session being opened: what its client is granted once commit is durable.
type opening struct {
	session.Grant
	rejected []rejectedRange
	commit   memory.Durability
}

func (s *Store) openOrResume(ctx context.Context, q session.OpenRequest, room *log.Reservation) (o opening, err error) {
	if q.SessionID == "" {
		return s.openNew(q, room)
	}
	err = s.afterEnd(ctx, q.SessionID, func() (err error) {
		o, err = s.resume(q, room)
		return err
	})
	return o, err
}

// withSpace adds the space to a grant; one that nobody has written to yet has its name only.
func (s *Store) withSpace(g session.Grant, name string) session.Grant {
	sp, ok := s.Space(name)
	if !ok {
		sp = memory.Space{Name: name}
	}
	g.Space = sp
	return g
}

func (s *Store) openNew(q session.OpenRequest, room *log.Reservation) (opening, error) {
	ttl, err := settleTTL(q.DetachTTL, s.detachTTL)
	if err != nil {
		return opening{}, err
	}
	token := randomBytes(tokenBytes)
	r := &openedRecord{Session: sessionPrefix + newID(), Space: q.Space, TokenHash: sha256.Sum256(token), TTL: ttl, Writer: q.Writer}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if s.state.spaces[q.Space] == nil && len(s.state.spaces) >= s.state.maxSpaces {
		return opening{}, s.state.tooManySpaces(q.Space)
	}
	r.At = s.now().UnixNano()
	c, err := s.commit(room, nil, r)
	if err != nil {
		return opening{}, err
	}
	s.presence.attach(r.Session, 1, 0)
	grant := session.Grant{SessionID: r.Session, Token: token, Epoch: 1, HeldSince: 1, DetachTTL: ttl}
	return opening{Grant: grant, commit: c.commit}, nil
}

// resume is called by afterEnd.
func (s *Store) resume(q session.OpenRequest, room *log.Reservation) (opening, error) {
	now := s.now()
	if s.presence.expired(q.SessionID, now) {
		return opening{}, sessionGone(q.SessionID)
	}
	r, err := s.state.decideResume(q, now.UnixNano())
	if err != nil {
		return opening{}, err
	}
	se := s.state.sessions[r.Session]
	standing := se.epoch
	if undecided(se.taken) {
		standing = se.standing
	}
	c, err := s.commit(room, nil, r)
	if err != nil {
		return opening{}, err
	}
	se.taken, se.standing = c.commit, standing
	s.presence.attach(se.id, se.epoch, standing)
	return opening{
		Grant: session.Grant{
			SessionID: se.id, Epoch: se.epoch, HeldSince: se.heldSince, Resumed: true, Committed: se.expected - 1, Version: se.version,
			DetachTTL: se.ttl,
		},
		rejected: se.rejected.within(q.LastCommitted+1, se.expected-1), commit: c.commit,
	}, nil
}

// DetachSession starts the session's time to live, counted anew with each op of it that still arrives. Another epoch
// than the session's changes nothing: an older one has been fenced, and a newer one did not become durable. Nor does an
// unknown session.
func (s *Store) DetachSession(id string, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	se := s.state.known(id) // one that is ending too: the disk may refuse that
	if se == nil {
		s.presence.forgetEpoch(id, epoch)
		return
	}
	if epoch < se.epoch {
		s.presence.left(id, epoch)
	}
	if !se.unary && epoch == se.epoch && s.presence.detach(id, epoch, s.now().Add(se.ttl)) {
		s.kickSweeper()
	}
}

// touch keeps a detached session that still appends from expiring. Callers hold mu.
func (s *Store) touch(id string, now time.Time) {
	if se := s.state.sessions[id]; se != nil {
		s.presence.refresh(id, now.Add(se.ttl))
	}
}

// newID returns 16 random bytes in lower-case base32 without padding: 26 characters.
func newID() string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(randomBytes(sessionIDBytes)))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: see crypto/rand
	return b
}
