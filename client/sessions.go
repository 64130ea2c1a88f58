package client

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// SessionState is what the server says a session is doing.
type SessionState uint8

// The states of a session.
const (
	SessionAttached SessionState = 1 // a stream serves it
	SessionDetached SessionState = 2 // it waits to be resumed
	SessionEnded    SessionState = 3 // it is over, and cannot be resumed
)

// String returns "attached", "detached" or "ended".
func (s SessionState) String() string {
	switch s {
	case SessionAttached:
		return "attached"
	case SessionDetached:
		return "detached"
	case SessionEnded:
		return "ended"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// SessionInfo is a session as the server sees it, whoever opened it.
type SessionInfo struct {
	ID        string
	Space     string
	State     SessionState
	Epoch     uint64    // counts the streams that served it
	Committed uint64    // up to this sequence number everything is durable and found by recall, or rejected for good
	ExpiresAt time.Time // when a detached one is let go; zero otherwise
}

// Sessions returns the sessions that can be resumed, by id: those of one space or, for the name "", all. It is for
// operators; a program has its own Session.
func (c *Client) Sessions(ctx context.Context, space string) ([]SessionInfo, error) {
	return allPages("list sessions", func(token string) ([]SessionInfo, string, error) {
		res, err := c.admin.ListSessions(ctx, connect.NewRequest(&engramv1.ListSessionsRequest{Space: space, PageSize: perPage, PageToken: token}))
		if err != nil {
			return nil, "", c.failure("list sessions", err)
		}
		return decoded(res.Msg.GetSessions(), decodeSession), res.Msg.GetNextPageToken(), nil
	})
}

// EndSession ends a session for good, whoever opened it, and returns it as it ended: what is committed stays. Its client,
// if it is connected, fails with ErrSessionExpired once it has been told what was committed; so does whoever resumes it
// later. The error is ErrSessionExpired if the server knows no such session.
//
// It is for operators. A program ends its own session with Session.Close, which waits until everything is committed.
func (c *Client) EndSession(ctx context.Context, id string) (*SessionInfo, error) {
	res, err := c.admin.EndSession(ctx, connect.NewRequest(&engramv1.EndSessionRequest{SessionId: id}))
	if err != nil {
		return nil, c.failure("end session", err)
	}
	ended := decodeSession(res.Msg.GetSession())
	return &ended, nil
}

func decodeSession(s *engramv1.Session) SessionInfo {
	out := SessionInfo{
		ID: s.GetSessionId(), Space: s.GetSpace(), State: SessionState(s.GetState()), Epoch: s.GetEpoch(),
		Committed: s.GetCommittedThrough(),
	}
	if t := s.GetExpiresAt(); t != nil {
		out.ExpiresAt = t.AsTime()
	}
	return out
}
