package transports

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

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

// recallRun is one recall at work.
type recallRun struct {
	st        *stream
	id        uint64
	query     memory.Query
	chunkHits int
	began     time.Time

	scanned int
	sent    int // hits handed to the writer
}

// recall starts a recall on a goroutine of its own. The reader goes on: only a client that reads nothing, or that
// breaks the protocol, loses its stream here.
func (st *stream) recall(ctx context.Context, op *engramv1.RecallOp) error {
	run := &recallRun{st: st, id: op.GetRecallId(), began: time.Now(), chunkHits: int(op.GetQuery().GetChunkSize())}
	if run.id == 0 {
		return badFrame("recall.recall_id", "ids begin at 1")
	}
	if run.chunkHits == 0 {
		run.chunkHits = defaultChunkHits
	}
	if err := run.parse(op); err != nil {
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

func (r *recallRun) parse(op *engramv1.RecallOp) error {
	if err := Validate(op); err != nil {
		return err
	}
	query, err := queryFromWire(op.GetQuery(), r.st.server.limits.RecallLimit)
	r.query = query
	return err
}

// refuseRecall answers without waiting, on the reader's goroutine.
func (st *stream) refuseRecall(run *recallRun, err error) error {
	if st.hits.tryPush(run.done(err)) {
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
	_ = r.st.hits.push(r.st.writing, r.done(err))
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
	r.scanned = result.Scanned
	if err := r.st.hits.push(ctx, r.started(result)); err != nil {
		return err
	}
	for hits := result.Hits; len(hits) > 0; {
		n, bytes := chunk(hits, r.chunkHits)
		if err := r.st.hits.push(ctx, r.chunk(hits[:n], bytes)); err != nil {
			return err
		}
		r.sent += n
		hits = hits[n:]
	}
	return nil
}

// chunk returns how many hits the next chunk takes, at least one, and their weight in bytes.
func chunk(hits []memory.Hit, most int) (n, bytes int) {
	for n < len(hits) && n < most {
		weight := hitBytes(&hits[n])
		if n > 0 && bytes+weight > maxChunkBytes {
			break
		}
		n++
		bytes += weight
	}
	return n, bytes
}

func (r *recallRun) started(result memory.Result) hitFrame {
	return hitFrame{hits: 1, bytes: itemOverhead, frame: &engramv1.MemoryFlowResponse{
		Frame: &engramv1.MemoryFlowResponse_RecallStarted{RecallStarted: &engramv1.RecallStarted{
			RecallId: r.id, SnapshotVersion: uint64(result.Snapshot), GraphedVersion: uint64(result.Graphed),
		}},
	}}
}

func (r *recallRun) chunk(hits []memory.Hit, bytes int) hitFrame {
	return hitFrame{hits: len(hits), bytes: bytes, frame: &engramv1.MemoryFlowResponse{
		Frame: &engramv1.MemoryFlowResponse_RecallChunk{RecallChunk: &engramv1.RecallChunk{
			RecallId: r.id, Hits: hitsToWire(hits),
		}},
	}}
}

// done ends the recall: with an error, its code, its reason in words, and when to retry.
func (r *recallRun) done(err error) hitFrame {
	done := &engramv1.RecallDone{
		RecallId: r.id, TotalHits: uint32(r.sent), Elapsed: durationpb.New(time.Since(r.began)), TailScanned: uint32(r.scanned),
	}
	if err != nil {
		done.Code, done.Reason = fault.KindOf(err).Code(), brief(err)
		if f := fault.As(err); f != nil {
			done.RetryAfter, done.ErrorReason = durationToWire(f.RetryAfter), f.Reason
		}
	}
	return hitFrame{hits: 1, bytes: itemOverhead + len(done.GetReason()), frame: &engramv1.MemoryFlowResponse{
		Frame: &engramv1.MemoryFlowResponse_RecallDone{RecallDone: done},
	}}
}

// brief renders an error for the wire, cut to maxReason.
func brief(err error) string {
	return strings.ToValidUTF8(err.Error()[:min(len(err.Error()), maxReason)], "")
}
