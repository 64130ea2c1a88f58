package transports

import (
	"context"
	"sync"
	"time"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// recalls are those at work on one stream. Safe for concurrent use.
type recalls struct {
	mu     sync.Mutex
	cancel map[uint64]context.CancelCauseFunc // guarded by mu: by recall id
}

var errRecallCanceled = fault.New(fault.Canceled, "the recall was cancelled").WithReason("CANCELLED")

// begin registers a recall. It refuses an id that is at work, which breaks the protocol, and one too many, which does not.
func (r *recalls) begin(ctx context.Context, id uint64) (_ context.Context, refused, violation error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.cancel[id]; taken {
		return nil, nil, badFrame("recall.recall_id", "recall %d is still at work on this stream", id)
	}
	if len(r.cancel) >= maxConcurrentRecalls {
		return nil, fault.New(fault.ResourceExhausted, "%d recalls are at work on this stream, the most is %d",
			len(r.cancel), maxConcurrentRecalls).WithReason("TOO_MANY_RECALLS"), nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if r.cancel == nil {
		r.cancel = map[uint64]context.CancelCauseFunc{}
	}
	r.cancel[id] = cancel
	return ctx, nil, nil
}

func (r *recalls) end(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel[id](nil)
	delete(r.cancel, id)
}

// stop ends one early; one that has ended is no error.
func (r *recalls) stop(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.cancel[id]; cancel != nil {
		cancel(errRecallCanceled)
	}
}

// stopAll ends all of them.
func (r *recalls) stopAll(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.cancel {
		cancel(cause)
	}
}

// recallRun is one recall at work on a stream.
type recallRun struct {
	st *stream
	recallAnswer
}

// recall starts a recall on a goroutine of its own. The reader goes on: only a client that reads nothing, or that
// breaks the protocol, loses its stream here.
func (st *stream) recall(ctx context.Context, op *engramv1.RecallOp) error {
	run := &recallRun{st: st, recallAnswer: recallAnswer{id: op.GetRecallId(), began: time.Now()}}
	if run.id == 0 {
		return badFrame("recall.recall_id", "ids begin at 1")
	}
	if err := run.parse(op, op.GetQuery(), st.server.limits.RecallLimit); err != nil {
		return st.refuseRecall(run, err)
	}
	ctx, refused, violation := st.recalls.begin(ctx, run.id)
	if violation != nil {
		return violation
	}
	if refused != nil {
		return st.refuseRecall(run, refused)
	}
	st.work.begin(1)
	st.goroutines.Go(func() {
		defer st.work.finish()
		st.guard(func() { run.run(ctx) })
	})
	return nil
}

// refuseRecall answers without waiting, on the reader's goroutine.
func (st *stream) refuseRecall(run *recallRun, err error) error {
	if st.hits.tryPush(run.doneFrame(err)) {
		signal(st.hits.ready)
		return nil
	}
	return fault.New(fault.ResourceExhausted, "the client asks for recalls and does not read their answers").
		WithReason("RESULTS_UNREAD").WithHint("read from the stream while sending")
}

func (r *recallRun) run(ctx context.Context) {
	err := r.answer(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	r.st.recalls.end(r.id) // before its Done is sent, so that a client which reads Done may use the id again
	_ = r.st.hits.push(r.st.writing, r.doneFrame(err))
}

// answer sends RecallStarted and the chunks. Their size is the query's, cut where a chunk grows too heavy.
func (r *recallRun) answer(ctx context.Context) error {
	hold := r.st.server.newHold(1)
	defer hold.release()
	r.query.Hold = hold
	result, err := r.st.server.recall(ctx, r.st.att.Space, r.query)
	if err != nil && fault.KindOf(err) != fault.NotFound { // a session's space is made by its first write: empty until then
		return err
	}
	if err := r.st.hits.push(ctx, r.startedFrame(result)); err != nil {
		return err
	}
	return r.chunks(result.Hits, func(hits []memory.Hit, bytes int) error {
		return r.st.hits.push(ctx, hitFrame{hits: len(hits), bytes: bytes, frame: &engramv1.MemoryFlowResponse{
			Frame: &engramv1.MemoryFlowResponse_RecallChunk{RecallChunk: r.chunk(hits)},
		}})
	})
}

func (r *recallRun) startedFrame(result memory.Result) hitFrame {
	return hitFrame{hits: 1, bytes: itemOverhead, frame: &engramv1.MemoryFlowResponse{
		Frame: &engramv1.MemoryFlowResponse_RecallStarted{RecallStarted: r.started(result)},
	}}
}

func (r *recallRun) doneFrame(err error) hitFrame {
	done := r.done(err)
	return hitFrame{hits: 1, bytes: itemOverhead + len(done.GetReason()), frame: &engramv1.MemoryFlowResponse{
		Frame: &engramv1.MemoryFlowResponse_RecallDone{RecallDone: done},
	}}
}
