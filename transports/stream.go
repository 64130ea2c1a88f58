package transports

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/internal/telemetry"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// stream is one stream past its Hello.
//
// Goroutines: the caller's reads; one writes; each recall has one. serve joins them all. Whoever wants the stream to
// end calls leave or fail; the reader then stops, what was begun is settled, and the writer ends with what is owed.
type stream struct {
	server  *Server
	conn    Conn
	logger  *slog.Logger
	att     *session.Attachment
	policy  engramv1.OverloadPolicy
	settler *settler
	work    *pending
	credit  *creditor
	hits    *hitQueue
	recalls recalls

	ctx        context.Context // of everything begun on the stream; cancelled when the stream is given up
	cancel     context.CancelCauseFunc
	writing    context.Context // ends with the writer, or with ctx
	written    context.CancelFunc
	goroutines conc.WaitGroup                    // the writer and the recalls
	last       chan *engramv1.MemoryFlowResponse // cap 1: tells the writer to finish, with a last frame or nil
	reason     atomic.Pointer[error]             // why the server ends the stream; the first one stays
	lingering  atomic.Pointer[time.Timer]        // of a fenced stream
}

func newStream(ctx context.Context, s *Server, conn Conn, grant session.Grant, hello *engramv1.Hello) *stream {
	att := &session.Attachment{
		SessionID: grant.SessionID, Space: grant.Space.Name, Epoch: grant.Epoch,
		Window: session.NewWindow(grant.Committed + 1), Outbox: session.NewOutbox(grant.Committed),
	}
	work := newPending()
	st := &stream{
		server: s, conn: conn, att: att, policy: hello.GetOverloadPolicy(), work: work,
		logger:  s.Logger.With("session", att.SessionID, "epoch", att.Epoch, "space", att.Space),
		settler: &settler{att: att, counts: s.hub.counts(att.Space), work: work},
		credit:  newCreditor(s, att),
		hits:    newHitQueue(),
		last:    make(chan *engramv1.MemoryFlowResponse, 1),
	}
	st.settler.lost, st.settler.superseded = st.lost, st.superseded
	if st.policy == engramv1.OverloadPolicy_OVERLOAD_POLICY_FAIL_STREAM {
		st.settler.overloaded = st.leave
	}
	st.ctx, st.cancel = context.WithCancelCause(ctx)
	st.writing, st.written = context.WithCancel(st.ctx)
	return st
}

// serve runs the stream to its end.
func (st *stream) serve(welcome *engramv1.Welcome) error {
	defer st.cancel(nil)
	defer st.written()
	stop := context.AfterFunc(st.ctx, st.conn.CloseRead)
	defer stop()
	if err := st.send(&engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	st.goroutines.Go(func() { st.guard(st.write) })
	var goodbye *engramv1.Goodbye
	var err error
	st.guard(func() { goodbye, err = st.read() })
	st.work.finish() // the reader's count: nothing more begins
	if err != nil {
		if st.ctx.Err() != nil { // the read was ended for it, and says no more than that it timed out
			err = context.Cause(st.ctx)
		}
		st.reason.CompareAndSwap(nil, &err)
		st.recalls.stopAll(err)
	}
	st.settle()
	st.last <- st.closing(goodbye)
	st.goroutines.Wait()
	return st.ending()
}

// read handles frames until the client ends the stream, with a Goodbye or without, or an error does.
func (st *stream) read() (*engramv1.Goodbye, error) {
	for {
		frame, err := st.conn.Recv()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if goodbye := frame.GetGoodbye(); goodbye != nil {
			return acceptGoodbye(goodbye)
		}
		if err := st.handle(frame); err != nil {
			return nil, err
		}
	}
}

func acceptGoodbye(g *engramv1.Goodbye) (*engramv1.Goodbye, error) {
	if g.GetWaitGraphed() {
		return nil, ungraphed(unbuilt("goodbye.wait_graphed"))
	}
	return g, nil
}

// handle never waits: what the pipeline has no room for it refuses.
func (st *stream) handle(frame *engramv1.MemoryFlowRequest) error {
	switch f := frame.GetFrame().(type) {
	case *engramv1.MemoryFlowRequest_Observe:
		return st.observe(f.Observe)
	case *engramv1.MemoryFlowRequest_Forget:
		return st.forget(f.Forget)
	case *engramv1.MemoryFlowRequest_Recall:
		return st.recall(telemetry.Extract(st.ctx, f.Recall.GetTraceparent(), ""), f.Recall)
	case *engramv1.MemoryFlowRequest_Cancel:
		st.recalls.stop(f.Cancel.GetRecallId())
		return Validate(f.Cancel)
	case *engramv1.MemoryFlowRequest_Ping:
		st.att.Outbox.Pong(f.Ping.GetNonce())
		return nil
	case *engramv1.MemoryFlowRequest_Flow:
		return unbuilt("flow")
	case *engramv1.MemoryFlowRequest_Hello:
		return badFrame("hello", "a second Hello; this stream serves its session already")
	}
	return badFrame("frame", "the frame is empty or of an unknown kind")
}

func (st *stream) observe(b *engramv1.ObserveBatch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	offer := observeOffer(st.att, b.GetFirstSequence(), b.GetObservations(), st.server.textBytes(), time.Now(), st.settler)
	st.settler.offering(len(offer.Items))
	ctx := telemetry.Extract(st.ctx, b.GetTraceparent(), "")
	_ = st.server.Inlet.Offer(ctx, offer) // its error is in the outcomes that the settler gets
	st.credit.after(payload(offer))
	return nil
}

func (st *stream) forget(f *engramv1.ForgetOp) error {
	if f.GetSequence() == 0 {
		return badFrame("forget.sequence", "numbers begin at 1")
	}
	offer := forgetOffer(st.att, f.GetSequence(), f.GetTarget(), time.Now(), st.settler)
	st.settler.offering(1)
	_ = st.server.Inlet.Offer(st.ctx, offer) // as in observe
	st.credit.after(payload(offer))
	return nil
}

// fence ends the stream because a newer one serves its session. It is read on for a while, so that what its client
// still sends is counted as superseded. Fencing again changes nothing.
func (st *stream) fence() {
	st.att.Fence()
	st.att.Outbox.GoAway(session.GoAwayFenced, 0)
	err := error(session.ErrSuperseded)
	if st.reason.CompareAndSwap(nil, &err) {
		st.lingering.Store(time.AfterFunc(fenceLinger, st.conn.CloseRead))
	}
}

// leave ends the stream with an error, in order.
func (st *stream) leave(err error) {
	st.reason.CompareAndSwap(nil, &err)
	st.conn.CloseRead()
}

// end ends the stream because its session is over. What the client has been told that is accepted is still settled, and
// told, before the stream ends.
func (st *stream) end(why error) {
	st.att.Outbox.GoAway(session.GoAwayEnded, 0)
	st.leave(why)
}

func errEnded(sessionID string) *fault.Error {
	return fault.New(fault.NotFound, "the session has been ended by an operator, or on another connection").
		WithSubject("session " + sessionID).WithReason("SESSION_EXPIRED").
		WithHint("what is committed stays; open a new session to go on")
}

func errSpaceDeleted(sessionID, space string) *fault.Error {
	return fault.New(fault.NotFound, "its space %q has been deleted, and the session with it", space).
		WithSubject("session " + sessionID).WithReason("SESSION_EXPIRED").
		WithHint("a new session that writes to the name makes a new space of it")
}

// lost ends the stream because an item found no verdict: its number is taken, so only a resume can make it good.
func (st *stream) lost(cause error) {
	if errors.Is(cause, graph.ErrDraining) {
		st.leave(errShutdown())
		return
	}
	st.leave(fault.Wrap(fault.Unavailable, cause, "the server could not take an item to its end").WithReason("ABORTED").
		WithHint("resume the session and send again from committed_through + 1"))
}

// superseded ends the stream because the journal takes nothing from it any more. The hub has fenced it by then, unless
// what took the session over never got as far as the hub, or the session is gone: then only the journal knows.
func (st *stream) superseded(cause error) {
	if fault.KindOf(cause) == fault.NotFound {
		st.leave(cause)
		return
	}
	st.fence()
}

// fail ends the stream at once.
func (st *stream) fail(err error) {
	st.leave(err)
	st.cancel(err)
}

// guard turns a panic on one of the stream's goroutines into the end of the stream.
func (st *stream) guard(f func()) {
	if caught := panics.Try(f); caught != nil {
		st.fail(st.server.panicked(caught))
	}
}

// ending is what the stream returns: the first reason to end it, so not what that has broken.
func (st *stream) ending() error {
	if timer := st.lingering.Load(); timer != nil {
		timer.Stop()
	}
	if reason := st.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}

// settle waits until everything begun has ended, for a bounded time.
func (st *stream) settle() {
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-st.work.done:
	case <-st.ctx.Done():
	case <-timer.C:
		st.logger.Warn("a closing stream has items without a verdict", "waited", drainTimeout, "items", st.work.open.Load())
		st.recalls.stopAll(fault.New(fault.DeadlineExceeded, "the stream is closing and waited %v", drainTimeout))
	}
}

// closing answers a Goodbye, and ends the session when it asks for that.
func (st *stream) closing(goodbye *engramv1.Goodbye) *engramv1.MemoryFlowResponse {
	if goodbye == nil || st.reason.Load() != nil {
		return nil
	}
	closed := &engramv1.Closed{FinalSequence: st.att.Window.Expected() - 1, CommittedThrough: st.att.Outbox.Committed()}
	// What is not settled, or could not be told, a resume can still make good.
	if goodbye.GetEndSession() && closed.CommittedThrough == closed.FinalSequence {
		err := st.server.Journal.Get().EndSession(st.ctx, st.att.SessionID, st.att.Epoch)
		closed.SessionEnded = err == nil || fault.KindOf(err) == fault.NotFound // somebody else has ended it
		if !closed.SessionEnded {
			st.logger.Warn("the session could not be ended; it stays resumable", "error", err)
		}
	}
	return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Closed{Closed: closed}}
}

// detach gives the session up to whoever resumes it, unless someone has.
func (st *stream) detach() {
	if st.server.hub.detach(st) {
		st.server.Journal.Get().DetachSession(st.att.SessionID, st.att.Epoch)
	}
}
