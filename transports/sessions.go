package transports

import (
	"context"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// GetSession says where a session stands. There are no keys yet, so that anyone who can connect may do without a token.
func (s *Server) GetSession(ctx context.Context, r *engramv1.GetSessionRequest) (*engramv1.GetSessionResponse, error) {
	status, err := s.Journal.Get().Session(r.GetSessionId(), r.GetResumeToken())
	if err != nil {
		return nil, err
	}
	told, err := s.sessionToWire(ctx, status)
	if err != nil {
		return nil, err
	}
	return &engramv1.GetSessionResponse{Session: told}, nil
}

// ListSessions pages through the sessions by id; the page token is the last id of the page before.
func (s *Server) ListSessions(ctx context.Context, r *engramv1.ListSessionsRequest) (*engramv1.ListSessionsResponse, error) {
	size := pageSize(r.GetPageSize())
	sessions, err := s.Journal.Get().ListSessions(ctx, r.GetSpace(), r.GetPageToken(), size+1)
	if err != nil {
		return nil, err
	}
	response := &engramv1.ListSessionsResponse{}
	if len(sessions) > size {
		sessions = sessions[:size]
		response.NextPageToken = sessions[size-1].SessionID
	}
	for _, status := range sessions {
		told, err := s.sessionToWire(ctx, status)
		if fault.KindOf(err) == fault.NotFound {
			continue // its space has been deleted meanwhile, and the session with it
		}
		if err != nil {
			return nil, err
		}
		response.Sessions = append(response.Sessions, told)
	}
	return response, nil
}

// EndSession ends a session, and then the stream that serves it. A stream that is only being opened finds out by itself.
func (s *Server) EndSession(ctx context.Context, r *engramv1.EndSessionRequest) (*engramv1.EndSessionResponse, error) {
	status, err := s.Journal.Get().DismissSession(ctx, r.GetSessionId(), r.GetResumeToken())
	if err != nil {
		return nil, err
	}
	s.hub.end(status.SessionID, errEnded(status.SessionID))
	told, err := s.sessionToWire(ctx, status)
	if err != nil {
		return nil, err
	}
	return &engramv1.EndSessionResponse{Session: told}, nil
}

// sessionToWire waits until what it calls committed is findable too.
func (s *Server) sessionToWire(ctx context.Context, status session.Status) (*engramv1.Session, error) {
	if err := s.awaitPublished(ctx, status.Space, status.Version); err != nil {
		return nil, err
	}
	return &engramv1.Session{
		SessionId: status.SessionID, Space: status.Space, State: engramv1.Session_State(status.State), Epoch: status.Epoch,
		CommittedThrough: status.Committed, ExpiresAt: timeToWire(status.Expires),
	}, nil
}

// awaitPublished waits until a version of a space is findable; 0: nothing was written yet.
func (s *Server) awaitPublished(ctx context.Context, space string, v memory.Version) error {
	if v == 0 {
		return nil
	}
	return s.Index.Get().WaitPublished(ctx, space, v)
}
