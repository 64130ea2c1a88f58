package client

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sourcegraph/conc"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// wire is one bidirectional stream. Send and Receive may run at once, neither twice at once.
type wire interface {
	Send(*engramv1.MemoryFlowRequest) error
	Receive() (*engramv1.MemoryFlowResponse, error)
	CloseRequest() error
	CloseResponse() error
}

// stream is one attachment of the session: a wire after Hello and Welcome.
type stream struct {
	wire     wire
	ctx      context.Context //nolint:containedctx // the life of the wire; its cause says why it was cut
	cancel   context.CancelCauseFunc
	watchdog *time.Timer // cancels when nothing has been received for silence

	silence time.Duration // of the reader

	lastSent   time.Time // of the writer
	halfClosed bool      // of the writer: nothing more will be sent

	goAway *engramv1.GoAway // guarded by Session.mu; nil until the server says it
}

// serve runs a stream until it ends; nil means that Goodbye was answered.
func (s *Session) serve(st *stream) *Error {
	ended := make(chan error, 1)
	var reader conc.WaitGroup
	reader.Go(func() { ended <- s.read(st) })
	err := s.write(st, ended)
	var failure *Error
	if err != nil {
		failure = s.streamError(st, err)
	}
	s.drop(st)
	reader.Wait()
	return failure
}

// drop lets go of a stream's resources.
func (s *Session) drop(st *stream) {
	if st.watchdog != nil {
		st.watchdog.Stop()
	}
	st.cancel(context.Canceled)
	_ = st.wire.CloseRequest()
	_ = st.wire.CloseResponse()
}

// streamError says why a stream ended: the reason it was cancelled for, if it was, rather than "canceled".
func (s *Session) streamError(st *stream, err error) *Error {
	if cause := context.Cause(st.ctx); cause != nil {
		err = cause
	}
	return s.client.describe("session", err)
}

// write sends what there is to send until the stream ends, and returns why.
func (s *Session) write(st *stream, ended <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		request, at := s.nextFrame(st, time.Now())
		if request != nil {
			if err := st.wire.Send(request); err != nil {
				return sendFailed(st, err, ended)
			}
			continue
		}
		if !st.halfClosed && s.leaving(st) {
			// Lets the server finish: it settles what it has, and ends the stream.
			st.halfClosed = true
			_ = st.wire.CloseRequest()
		}
		timer.Reset(time.Until(at))
		select {
		case <-s.wake:
		case <-timer.C:
		case <-st.ctx.Done():
			return sendFailed(st, context.Cause(st.ctx), ended)
		case err := <-ended:
			return err
		}
	}
}

// leaving reports whether the server asked this side to go.
func (s *Session) leaving(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.goAway != nil
}

// sendFailed returns why nothing more is sent. After io.EOF the reader knows; anything else is this side's own failure.
// Net/http looks at a cancelled context only between reads of the request, so that without its end the reader would wait
// for whatever the server says next.
func sendFailed(st *stream, err error, ended <-chan error) error {
	if !errors.Is(err, io.EOF) {
		st.cancel(err)
	}
	_ = st.wire.CloseRequest()
	return <-ended
}

// nextFrame decides what goes out next: recalls first, since somebody waits for each; then observations; then, at the
// end, Goodbye. Without any, at is when to look again, at the latest for a heartbeat.
func (s *Session) nextFrame(st *stream, now time.Time) (request *engramv1.MemoryFlowRequest, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.goAway != nil || s.ending != nil && s.ending.said {
		return nil, now.Add(s.limits.heartbeat)
	}
	ping := st.lastSent.Add(s.limits.heartbeat)
	request = s.recalls.frame()
	if request == nil {
		var f frame
		f, at = s.send.frame(now)
		request = f.request()
	}
	if request == nil {
		request = s.goodbye()
	}
	if request == nil && !now.Before(ping) {
		request = &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Ping{Ping: &engramv1.Ping{}}}
	}
	if request != nil {
		st.lastSent = now
		return request, time.Time{}
	}
	if at.IsZero() || ping.Before(at) {
		at = ping
	}
	return nil, at
}

// goodbye returns the Goodbye when it is time for it: everything settled, and nobody waiting.
func (s *Session) goodbye() *engramv1.MemoryFlowRequest {
	if s.ending == nil || len(s.send.items) > 0 || !s.recalls.idle() {
		return nil
	}
	s.ending.said, s.ending.tried = true, true
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{
		Goodbye: &engramv1.Goodbye{EndSession: s.ending.endSession},
	}}
}

func (f *frame) request() *engramv1.MemoryFlowRequest {
	switch {
	case f.empty():
		return nil
	case f.forget != nil:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Forget{
			Forget: &engramv1.ForgetOp{Sequence: f.first, Target: f.forget},
		}}
	}
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{
		Observe: &engramv1.ObserveBatch{FirstSequence: f.first, Observations: f.observations},
	}}
}
