package client

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// script plays the server of a session in a synctest bubble: time is virtual, and nothing happens by itself.
type script struct {
	t     *testing.T
	dials chan *fakeWire
	// refuse, when set, makes every further dial fail with it.
	refuse error
}

// fakeWire is one stream: what the session sends can be taken with next, what the script sends is received.
type fakeWire struct {
	t      *testing.T
	ctx    context.Context
	up     chan *engramv1.MemoryFlowRequest
	down   chan *engramv1.MemoryFlowResponse
	ended  chan struct{}
	err    error // why it ended; set before ended is closed
	closed chan struct{}
}

func (w *fakeWire) Send(m *engramv1.MemoryFlowRequest) error {
	select {
	case w.up <- m:
		return nil
	case <-w.ended:
		return io.EOF
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

func (w *fakeWire) Receive() (*engramv1.MemoryFlowResponse, error) {
	select {
	case m := <-w.down:
		return m, nil
	case <-w.ctx.Done():
		return nil, connect.NewError(connect.CodeCanceled, w.ctx.Err())
	default:
	}
	select {
	case m := <-w.down:
		return m, nil
	case <-w.ended:
		return nil, w.err
	case <-w.ctx.Done():
		return nil, connect.NewError(connect.CodeCanceled, w.ctx.Err())
	}
}

func (w *fakeWire) CloseRequest() error {
	select {
	case <-w.closed:
	default:
		close(w.closed)
	}
	return nil
}

func (w *fakeWire) CloseResponse() error { return nil }

func newScript(t *testing.T) *script {
	t.Helper()
	return &script{t: t, dials: make(chan *fakeWire, 16)}
}

func (p *script) dial(ctx context.Context) wire {
	w := &fakeWire{
		t: p.t, ctx: ctx, up: make(chan *engramv1.MemoryFlowRequest, 1024), down: make(chan *engramv1.MemoryFlowResponse, 64),
		ended: make(chan struct{}), closed: make(chan struct{}),
	}
	if p.refuse != nil {
		w.err = p.refuse
		close(w.ended)
		return w
	}
	p.dials <- w
	return w
}

// open opens a session against the script, which answers Hello with the welcome.
func (p *script) open(options SessionOptions, w *engramv1.Welcome) (*Session, *fakeWire) {
	p.t.Helper()
	c, err := New("127.0.0.1:1")
	require.NoError(p.t, err)
	wires := make(chan *fakeWire, 1)
	go func() {
		wire := <-p.dials
		wire.hello()
		wire.welcome(w)
		wires <- wire
	}()
	s, err := c.open(p.t.Context(), "notes", options, p.dial)
	require.NoError(p.t, err)
	return s, <-wires
}

// reopened waits for the session to dial again and answers its Hello.
func (p *script) reopened(w *engramv1.Welcome) (*fakeWire, *engramv1.Hello) {
	p.t.Helper()
	wire := <-p.dials
	hello := wire.hello()
	wire.welcome(w)
	synctest.Wait()
	return wire, hello
}

func welcome(epoch, committed uint64) *engramv1.Welcome {
	return &engramv1.Welcome{
		SessionId: "s1", ResumeToken: []byte("token"), Epoch: epoch, CommittedThrough: committed,
		Credit: &engramv1.Credit{SequenceLimit: 1 << 40},
	}
}

func heldSince(w *engramv1.Welcome, epoch uint64) *engramv1.Welcome {
	w.HeldSince = epoch
	return w
}

func withCredit(w *engramv1.Welcome, limit uint64) *engramv1.Welcome {
	w.Credit.SequenceLimit = limit
	return w
}

func (w *fakeWire) hello() *engramv1.Hello {
	hello := (<-w.up).GetHello()
	if hello == nil {
		w.t.Error("the first frame was no Hello")
	}
	return hello
}

// next returns the next frame the session has sent by now, nil if there is none.
func (w *fakeWire) next() *engramv1.MemoryFlowRequest {
	synctest.Wait()
	select {
	case m := <-w.up:
		return m
	default:
		return nil
	}
}

// batch returns the numbers of the observations in the next frame, as first and count; 0, 0 without a frame.
func (w *fakeWire) batch() (first uint64, count int) {
	w.t.Helper()
	m := w.next()
	if m == nil {
		return 0, 0
	}
	require.NotNil(w.t, m.GetObserve(), "a %T instead of a batch", m.GetFrame())
	return m.GetObserve().GetFirstSequence(), len(m.GetObserve().GetObservations())
}

func (w *fakeWire) welcome(m *engramv1.Welcome) {
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Welcome{Welcome: m}}
}

func (w *fakeWire) ack(committed uint64, rejected ...*engramv1.Rejection) {
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Ack{
		Ack: &engramv1.Ack{AcceptedThrough: committed, CommittedThrough: committed, Rejected: rejected},
	}}
	synctest.Wait()
}

func (w *fakeWire) accepted(through uint64) {
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Ack{Ack: &engramv1.Ack{AcceptedThrough: through}}}
	synctest.Wait()
}

func (w *fakeWire) nack(n *engramv1.Nack) {
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Nack{Nack: n}}
	synctest.Wait()
}

func (w *fakeWire) credit(c *engramv1.Credit) {
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Credit{Credit: c}}
	synctest.Wait()
}

func (w *fakeWire) goAway(g *engramv1.GoAway) {
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_GoAway{GoAway: g}}
	synctest.Wait()
}

// lose ends the stream with err.
func (w *fakeWire) lose(err error) {
	w.err = err
	close(w.ended)
	synctest.Wait()
}

// closing answers the Goodbye that must come next.
func (w *fakeWire) closing(final uint64) *engramv1.Goodbye {
	w.t.Helper()
	goodbye := w.next().GetGoodbye()
	require.NotNil(w.t, goodbye)
	w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Closed{
		Closed: &engramv1.Closed{FinalSequence: final, CommittedThrough: final, SessionEnded: goodbye.GetEndSession()},
	}}
	synctest.Wait()
	return goodbye
}

// abandon ends a session that the test is through with.
func abandon(s *Session) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = s.Close(ctx)
}

func observe(t *testing.T, s *Session, n int) []*Pending {
	t.Helper()
	var all []*Pending
	for range n {
		p, err := s.Observe(t.Context(), Observation{Embedding: []float32{1, 2}})
		require.NoError(t, err)
		all = append(all, p)
	}
	return all
}

func unavailable(message string) error {
	return connect.NewError(connect.CodeUnavailable, errorString(message))
}

type errorString string

func (e errorString) Error() string { return string(e) }

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
