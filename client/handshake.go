package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const (
	// welcomeTimeout bounds the wait for the first frame of a stream. A resume may wait for the publishing of what is durable.
	welcomeTimeout = 15 * time.Second
	// silentHeartbeats is after how many heartbeats without a frame the peer counts as dead.
	silentHeartbeats = 3

	// What holds for a server that does not say.
	defaultHeartbeat   = 15 * time.Second
	defaultDetachTTL   = time.Hour
	defaultMaxRecalls  = 16
	defaultMaxMessage  = 4 << 20
	defaultServerBatch = 1024
)

// sessionLimits are what the server of the newest stream holds the session to.
type sessionLimits struct {
	heartbeat time.Duration
	detachTTL time.Duration
}

// attach opens a stream and takes the server's Welcome. ctx bounds the opening, not the stream.
func (s *Session) attach(ctx context.Context) (*stream, *Error) {
	st := &stream{}
	st.ctx, st.cancel = context.WithCancelCause(s.ctx)
	unlink := context.AfterFunc(ctx, func() { st.cancel(context.Cause(ctx)) })
	timer := s.client.unanswered("open session", st.cancel)
	st.wire = s.dial(st.ctx) //nolint:contextcheck // a stream outlives the call that opens it
	welcome, err := s.hello(st)
	timer.Stop()
	if !unlink() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = s.welcome(st, welcome)
	}
	if err != nil {
		failure := s.streamError(st, err)
		s.drop(st)
		return nil, failure
	}
	return st, nil
}

// unanswered cancels a stream when welcomeTimeout has passed, unless its timer is stopped before.
func (c *Client) unanswered(op string, cancel context.CancelCauseFunc) *time.Timer {
	return time.AfterFunc(welcomeTimeout, func() {
		cancel(&Error{Op: op, Code: connect.CodeUnavailable, Reason: reasons[ErrUnreachable], Message: fmt.Sprintf(
			"%s did not answer within %v", c.address, welcomeTimeout)})
	})
}

// hello says Hello and waits for the Welcome.
func (s *Session) hello(st *stream) (*engramv1.Welcome, error) {
	s.mu.Lock()
	hello := &engramv1.Hello{
		Space: s.space, SessionId: s.ticket.SessionID, ResumeToken: s.ticket.Token, LastCommittedSequence: s.send.committed,
		WriterId: s.writer,
	}
	s.mu.Unlock()
	if s.options.DetachTTL > 0 {
		hello.DetachTtl = durationpb.New(s.options.DetachTTL)
	}
	// After io.EOF the server's own error is what Receive returns.
	err := st.wire.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: hello}})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	response, err := st.wire.Receive()
	if err != nil {
		return nil, err
	}
	if response.GetWelcome() == nil {
		if away := response.GetGoAway(); away != nil {
			return nil, &Error{
				Op: "open session", Code: connect.CodeUnavailable, Message: "the server is going away",
				RetryAfter: away.GetReconnectAfter().AsDuration(),
			}
		}
		return nil, protocolError("the first frame was a %T, not a Welcome", response.GetFrame())
	}
	return response.GetWelcome(), nil
}

// welcome takes over what the server says about the session.
func (s *Session) welcome(st *stream, w *engramv1.Welcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.since == 0
	if !first && w.GetHeldSince() > s.since {
		// Another program held the session since this one's first stream: the numbers up to committed_through may not be
		// ours, and dropping them from the buffer could lose observations.
		return fenced()
	}
	s.applyLimits(st, w.GetLimits())
	if err := s.catchUp(first, w); err != nil {
		return err
	}
	if first {
		s.since = w.GetEpoch()
	}
	s.ticket.SessionID = w.GetSessionId()
	if token := w.GetResumeToken(); len(token) > 0 {
		s.ticket.Token = token
	}
	s.send.credit(w.GetCredit(), time.Now())
	s.lost = nil
	if !first {
		s.send.stats.Reconnects++
	}
	s.note(Event{Kind: EventConnected, Sequence: s.send.committed})
	s.change()
	st.watchdog = time.AfterFunc(st.silence, func() {
		st.cancel(&Error{Op: "session", Code: connect.CodeUnavailable, Message: "nothing heard from " + s.client.address + " for too long"})
	})
	st.lastSent = time.Now()
	return nil
}

func (s *Session) applyLimits(st *stream, l *engramv1.Limits) {
	or := func(given, otherwise uint32) int {
		if given == 0 {
			return int(otherwise)
		}
		return int(given)
	}
	s.send.maxFrame = or(l.GetMaxMessageBytes(), defaultMaxMessage)
	s.send.maxBatch = min(s.options.MaxBatch, or(l.GetMaxBatchObservations(), defaultServerBatch))
	s.recalls.limit = or(l.GetMaxConcurrentRecalls(), defaultMaxRecalls)
	s.limits = sessionLimits{heartbeat: defaultHeartbeat, detachTTL: defaultDetachTTL}
	if d := l.GetHeartbeatInterval().AsDuration(); d > 0 {
		s.limits.heartbeat = d
	}
	if d := l.GetDetachTtl().AsDuration(); d > 0 {
		s.limits.detachTTL = d
	}
	st.silence = silentHeartbeats * s.limits.heartbeat
}

// catchUp drops from the buffer what the server has. What another program sent on this session before it was resumed
// here has no place in the buffer; its rejections are told as events.
func (s *Session) catchUp(first bool, w *engramv1.Welcome) error {
	rejected := rejections(w.GetRejected())
	through := w.GetCommittedThrough()
	if !first {
		return s.send.resume(through, rejected, s.decide)
	}
	if through < s.send.committed {
		return serverBehind(s.send.committed, through)
	}
	for i := range rejected {
		s.refuse(&rejected[i])
	}
	s.send.begin(through)
	return nil
}

func rejections(wire []*engramv1.Rejection) []RejectedError {
	if len(wire) == 0 {
		return nil
	}
	out := make([]RejectedError, len(wire))
	for i, r := range wire {
		out[i] = rejectedFrom(r)
	}
	return out
}
