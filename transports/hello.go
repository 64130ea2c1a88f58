package transports

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// receiveHello waits for the first frame, which must be a Hello that keeps the rules.
func receiveHello(ctx context.Context, conn Conn) (*engramv1.Hello, error) {
	var late atomic.Bool
	stop := context.AfterFunc(ctx, conn.CloseRead) // the deadline that the client gave the call may be sooner
	defer stop()
	timer := time.AfterFunc(helloTimeout, func() { late.Store(true); conn.CloseRead() })
	defer timer.Stop()
	frame, err := conn.Recv()
	switch {
	case late.Load():
		return nil, fault.New(fault.DeadlineExceeded, "no Hello within %v", helloTimeout).WithField("hello").
			WithHint("send Hello as the first frame")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, io.EOF):
		return nil, badFrame("hello", "the stream has ended without a Hello").WithHint("send Hello first; it names the space")
	case err != nil:
		return nil, err
	}
	hello := frame.GetHello()
	if hello == nil {
		return nil, badFrame("hello", "the first frame is not a Hello").WithHint("send Hello first; it names the space")
	}
	if err := Validate(hello); err != nil {
		return nil, err
	}
	if hello.GetSessionId() == "" && (len(hello.GetResumeToken()) > 0 || hello.GetLastCommittedSequence() > 0) {
		return nil, badFrame("hello.session_id", "what is resumed is not named, though a resume_token or last_committed_sequence is given").
			WithHint("send the session_id that Welcome gave, or neither for a new session")
	}
	return hello, unbuiltHello(hello)
}

func unbuiltHello(h *engramv1.Hello) error {
	switch {
	case h.GetAckLevel() == engramv1.AckLevel_ACK_LEVEL_GRAPHED:
		return ungraphed(unbuilt("hello.ack_level GRAPHED").WithField("hello.ack_level"))
	case h.GetBearerToken() != "":
		return unbuilt("hello.bearer_token")
	case h.GetResultLimit() != 0:
		return unbuilt("hello.result_limit")
	}
	return nil
}

// open opens or resumes the session that a Hello asks for.
func (s *Server) open(ctx context.Context, conn Conn, hello *engramv1.Hello) (*stream, *engramv1.Welcome, error) {
	grant, err := s.Journal.Get().OpenSession(ctx, session.OpenRequest{
		Space: hello.GetSpace(), SessionID: hello.GetSessionId(), Token: hello.GetResumeToken(),
		LastCommitted: hello.GetLastCommittedSequence(), DetachTTL: hello.GetDetachTtl().AsDuration(),
		Writer: hello.GetWriterId(),
	})
	if err != nil {
		return nil, nil, err
	}
	// What a Welcome calls committed is findable too.
	if err := s.awaitPublished(ctx, grant.Space.Name, grant.Version); err != nil {
		s.Journal.Get().DetachSession(grant.SessionID, grant.Epoch)
		return nil, nil, err
	}
	st := newStream(ctx, s, conn, grant, hello)
	return st, s.welcome(st, grant, hello), nil
}

func (s *Server) welcome(st *stream, grant session.Grant, hello *engramv1.Hello) *engramv1.Welcome {
	token := grant.Token
	if grant.Resumed {
		token = hello.GetResumeToken()
	}
	return &engramv1.Welcome{
		SessionId: grant.SessionID, ResumeToken: token, Epoch: grant.Epoch, Resumed: grant.Resumed,
		HeldSince: grant.HeldSince, CommittedThrough: grant.Committed, Rejected: rejectionsToWire(grant.Rejected, 0),
		Credit: creditToWire(st.credit.first(grant.Committed)), ServerInstance: s.hub.instance,
		Limits: &engramv1.Limits{
			MaxBatchObservations: memory.MaxBatch, MaxMessageBytes: uint32(s.limits.MessageBytes),
			MaxConcurrentRecalls: maxConcurrentRecalls, Dimension: uint32(grant.Space.Dimension),
			HeartbeatInterval: durationpb.New(heartbeatInterval), DetachTtl: durationpb.New(grant.DetachTTL),
		},
	}
}
