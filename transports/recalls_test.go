package transports

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func manyHits(n int, content string) []memory.Hit {
	hits := make([]memory.Hit, n)
	for i := range hits {
		hits[i] = memory.Hit{ID: fmt.Sprintf("m%d", i), Content: content, State: memory.Fresh}
	}
	return hits
}

// answers splits frames into what belongs to a recall.
func answers(frames []*engramv1.MemoryFlowResponse) (started *engramv1.RecallStarted, chunks []*engramv1.RecallChunk, done *engramv1.RecallDone) {
	for _, f := range frames {
		if s := f.GetRecallStarted(); s != nil {
			started = s
		}
		if c := f.GetRecallChunk(); c != nil {
			chunks = append(chunks, c)
		}
		if d := f.GetRecallDone(); d != nil {
			done = d
		}
	}
	return started, chunks, done
}

func TestRecallComesInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.index.recall = func(_ context.Context, q memory.Query) (memory.Result, error) {
			assert.Equal(t, 25, q.Limit)
			return memory.Result{Hits: manyHits(25, "c"), Snapshot: 9, Scanned: 400}, nil
		}
		w, _ := h.open(t)
		op := recallFrame(3)
		op.GetRecall().GetQuery().Limit, op.GetRecall().GetQuery().ChunkSize = 25, 10
		w.in <- op
		started, chunks, done := answers(w.frames())
		assert.Equal(t, uint64(9), started.GetSnapshotVersion())
		require.Len(t, chunks, 3)
		assert.Len(t, chunks[2].GetHits(), 5)
		assert.Equal(t, "m10", chunks[1].GetHits()[0].GetMemoryId())
		assert.Equal(t, uint32(25), done.GetTotalHits())
		assert.Equal(t, uint32(400), done.GetTailScanned())
		assert.Zero(t, done.GetCode())
	})
}

func TestARecallIDIsFreeOnceItsDoneIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		for range 2 * maxConcurrentRecalls {
			w.in <- recallFrame(1)
			_, _, done := answers(w.frames())
			require.NotNil(t, done)
			assert.Zero(t, done.GetCode())
		}
	})
}

func TestChunksStayReadable(t *testing.T) {
	hits := manyHits(10, strings.Repeat("x", 400<<10))
	n, bytes := chunk(hits, 100)
	assert.Equal(t, 2, n)
	assert.LessOrEqual(t, bytes, maxChunkBytes)
	n, _ = chunk(manyHits(1, strings.Repeat("x", 2*maxChunkBytes)), 100)
	assert.Equal(t, 1, n, "a hit larger than a chunk goes alone")
}

func TestRecallsAreBoundedCancelledAndKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.index.recall = func(ctx context.Context, _ memory.Query) (memory.Result, error) {
			<-ctx.Done()
			return memory.Result{}, context.Cause(ctx)
		}
		w, _ := h.open(t)
		for id := uint64(1); id <= maxConcurrentRecalls; id++ {
			w.in <- recallFrame(id)
		}
		assert.Empty(t, w.frames())
		w.in <- recallFrame(99)
		_, _, done := answers(w.frames())
		assert.Equal(t, fault.ResourceExhausted.Code(), done.GetCode())
		assert.Equal(t, uint64(99), done.GetRecallId())

		w.in <- observeFrame(1, "x")
		assert.Equal(t, uint64(1), w.frames()[0].GetAck().GetCommittedThrough(), "recalls hold nothing up")

		w.in <- &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Cancel{Cancel: &engramv1.CancelRecall{RecallId: 7}}}
		_, _, done = answers(w.frames())
		assert.Equal(t, uint64(7), done.GetRecallId())
		assert.Equal(t, fault.Canceled.Code(), done.GetCode())

		w.in <- recallFrame(5)
		err := <-w.result
		assert.Equal(t, "recall.recall_id", fault.As(err).Field, "an id at work may not be used again")
	})
}

func TestRecallErrorsStayInTheirRecall(t *testing.T) {
	query := func(change func(q *engramv1.RecallQuery)) *engramv1.MemoryFlowRequest {
		f := recallFrame(1)
		change(f.GetRecall().GetQuery())
		return f
	}
	for name, c := range map[string]struct {
		frame *engramv1.MemoryFlowRequest
		kind  fault.Kind
		says  string
	}{
		"no vector":   {query(func(q *engramv1.RecallQuery) { q.Embedding = nil }), fault.InvalidArgument, "query.embedding"},
		"both":        {query(func(q *engramv1.RecallQuery) { q.EmbeddingF32 = make([]byte, 12) }), fault.InvalidArgument, "both"},
		"odd bytes":   {query(func(q *engramv1.RecallQuery) { q.Embedding, q.EmbeddingF32 = nil, make([]byte, 5) }), fault.InvalidArgument, "5 bytes"},
		"infinite":    {query(func(q *engramv1.RecallQuery) { q.Embedding[1] = float32(math.Inf(1)) }), fault.InvalidArgument, "component 1"},
		"limit, rule": {query(func(q *engramv1.RecallQuery) { q.Limit = 10001 }), fault.InvalidArgument, "limit"},
		"limit, ours": {query(func(q *engramv1.RecallQuery) { q.Limit = 1001 }), fault.InvalidArgument, "1000"},
		"and a text":  {query(func(q *engramv1.RecallQuery) { q.Text = "hi" }), fault.InvalidArgument, "both a text and a vector"},
		"at_version":  {query(func(q *engramv1.RecallQuery) { q.AtVersion = 4 }), fault.Unimplemented, "query.at_version"},
		"explain":     {query(func(q *engramv1.RecallQuery) { q.Explain = true }), fault.Unimplemented, "query.explain"},
		"after":       {query(func(q *engramv1.RecallQuery) { q.AfterSequence = 1 }), fault.Unimplemented, "query.after_sequence"},
		"visibility":  {query(func(q *engramv1.RecallQuery) { q.Visibility = 2 }), fault.Unimplemented, "query.visibility"},
		"filter": {query(func(q *engramv1.RecallQuery) {
			q.Filter = &engramv1.Filter{Node: &engramv1.Filter_Condition{Condition: &engramv1.Condition{Key: "k", Op: 1}}}
		}), fault.Unimplemented, "query.filter"},
		"from index":   {recallFrame(2), fault.ResourceExhausted, "busy"},
		"empty filter": {query(func(q *engramv1.RecallQuery) { q.Filter = &engramv1.Filter{} }), fault.InvalidArgument, "query.filter"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				h.index.recall = func(context.Context, memory.Query) (memory.Result, error) {
					return memory.Result{}, fault.New(fault.ResourceExhausted, "busy").WithReason("BUSY").WithRetryAfter(time.Second)
				}
				w, _ := h.open(t)
				w.in <- c.frame
				_, _, done := answers(w.frames())
				require.NotNil(t, done)
				assert.NotEmpty(t, done.GetErrorReason())
				assert.Equal(t, c.kind.Code(), done.GetCode())
				assert.Contains(t, done.GetReason(), c.says)
				close(w.in)
				require.NoError(t, <-w.result, "the stream goes on")
			})
		})
	}
}

func TestUnreadHitsHoldUpTheirRecallOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.index.recall = func(context.Context, memory.Query) (memory.Result, error) {
			return memory.Result{Hits: manyHits(3*maxQueuedHits, "")}, nil
		}
		w, _ := h.open(t)
		gate := make(chan *engramv1.MemoryFlowResponse)
		w.out = gate
		w.in <- recallFrame(1)
		synctest.Wait()
		st := h.hub.live["s1"]
		assert.LessOrEqual(t, st.hits.hits, maxQueuedHits)
		w.in <- observeFrame(1, "x")
		synctest.Wait()
		assert.Equal(t, uint64(1), h.hub.Tally().Accepted, "the reader goes on")
		total := 0
		var ackAfter int
		for {
			f := <-gate
			if f.GetAck() != nil {
				ackAfter = total
			}
			total += len(f.GetRecallChunk().GetHits())
			if f.GetRecallDone() != nil {
				break
			}
		}
		assert.Equal(t, 3*maxQueuedHits, total)
		assert.Less(t, ackAfter, maxQueuedHits, "control frames overtake queued hits")
		close(w.in)
		require.NoError(t, <-w.result)
	})
}

func TestRecallFloodWithoutReadingEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		w.out = nil
		for range maxQueuedHits + 2 {
			f := recallFrame(1)
			f.GetRecall().GetQuery().Text = "refused at once"
			w.in <- f
			synctest.Wait()
		}
		time.Sleep(writeTimeout + drainTimeout)
		assert.Equal(t, "RESULTS_UNREAD", fault.As(<-w.result).Reason)
	})
}
