package transports

import (
	"context"
	"sync/atomic"

	"github.com/sourcegraph/conc/panics"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/telemetry"
)

// Server serves streams and calls for one transport. Safe for concurrent use.
type Server struct {
	Services
	hub     *Hub
	limits  Limits
	recalls *telemetry.Recalls // nil: not measured
}

// NewServer returns a server over a built graph. Nil recalls measure nothing.
func NewServer(hub *Hub, services Services, limits Limits, recalls *telemetry.Recalls) *Server {
	return &Server{Services: services, hub: hub, limits: limits, recalls: recalls}
}

// EnterCall makes room for a unary call, before its message is read: at most Limits.Calls are at work, and each may hold
// a message. Without an error the caller serves the call with the context, and calls exit when its answer is written.
func (s *Server) EnterCall(ctx context.Context) (call context.Context, exit func(), err error) {
	if err := enterCall(&s.hub.calls, s.limits.Calls, "limits.calls allows"); err != nil {
		return nil, nil, err
	}
	h := s.newHold(2)
	return context.WithValue(ctx, holdKey{}, h), func() { h.release(); s.hub.calls.Add(-1) }, nil
}

// EnterAdmin is EnterCall for the calls of operators, who have a few places of their own: they look when the server is
// full.
func (s *Server) EnterAdmin(ctx context.Context) (call context.Context, exit func(), err error) {
	if err := enterCall(&s.hub.admin, maxAdminCalls, "are allowed at a time"); err != nil {
		return nil, nil, err
	}
	return ctx, func() { s.hub.admin.Add(-1) }, nil
}

func enterCall(atWork *atomic.Int64, limit int, allowed string) error {
	if atWork.Add(1) > int64(limit) {
		atWork.Add(-1)
		return fault.New(fault.ResourceExhausted, "%d calls are at work, as many as %s", limit, allowed).
			WithReason("TOO_MANY_CALLS").WithRetryAfter(callsRetry).WithHint("use a stream, or make fewer calls at a time")
	}
	return nil
}

// Flow serves one stream until it ends, and returns the error to end it with, nil for a regular end. When it returns
// nothing uses conn any more.
func (s *Server) Flow(ctx context.Context, conn Conn) (err error) {
	if err := s.hub.enter(s.limits.Streams); err != nil {
		return err
	}
	defer s.hub.exit()
	caught := panics.Try(func() { err = s.flow(ctx, conn) })
	if caught != nil {
		return s.panicked(caught)
	}
	return err
}

func (s *Server) flow(ctx context.Context, conn Conn) error {
	hello, err := receiveHello(ctx, conn)
	if err != nil {
		return err
	}
	st, welcome, err := s.open(ctx, conn, hello)
	if err != nil {
		return err
	}
	s.hub.attach(st)
	defer st.detach()
	s.leaveIfEnded(st)
	return st.serve(welcome)
}

// leaveIfEnded ends a stream whose session was ended while it was being opened: whoever ended it has told the streams
// that the hub knew then.
func (s *Server) leaveIfEnded(st *stream) {
	if _, err := s.Journal.Get().Session(st.att.SessionID, nil); fault.KindOf(err) == fault.NotFound {
		st.end(errEnded(st.att.SessionID))
	}
}

func (s *Server) panicked(caught *panics.Recovered) error {
	s.Logger.Error("a stream panicked", "panic", caught.Value, "stack", string(caught.Stack))
	return fault.New(fault.Internal, "the server failed on this stream").WithReason("PANIC").
		WithHint("resume the session; what was acked is safe. The server's log has the details")
}
