package transports

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// taking makes the fake index take so many bytes for each answer.
func taking(h *harness, bytes int) {
	h.index.recall = func(_ context.Context, q memory.Query) (memory.Result, error) {
		return memory.Result{Snapshot: 5}, q.Hold.Take(bytes)
	}
}

// What answers hold is bounded over all calls, and given back when each has been written.
func TestAnswersOfCallsAreBounded(t *testing.T) {
	h := newHarness() // 1 MiB of answers
	taking(h, 200<<10)
	request := &engramv1.RecallRequest{Space: "faces", Query: &engramv1.RecallQuery{Embedding: []float32{1}}}
	var exits []func()
	call := func() error {
		ctx, exit, err := h.EnterCall(t.Context())
		require.NoError(t, err)
		exits = append(exits, exit)
		_, err = h.Recall(ctx, request)
		return err
	}
	for range 2 { // 400 KiB each: the hits, and what they are encoded to
		require.NoError(t, call())
	}
	err := call()
	require.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
	require.Equal(t, "ANSWERS_UNREAD", fault.As(err).Reason)
	require.NotZero(t, fault.As(err).RetryAfter)
	exits[0]()
	require.NoError(t, call())
	taking(h, 600<<10)
	err = call()
	require.Equal(t, "ANSWER_TOO_LARGE", fault.As(err).Reason, "it never fits, whoever reads")
	require.Zero(t, fault.As(err).RetryAfter)
	require.Len(t, exits, 5)
	for _, exit := range exits[1:] {
		exit()
	}
	require.Zero(t, h.hub.answers.Load())
	require.Zero(t, h.hub.calls.Load())
}

// And over all streams: a recall holds its answer until its client has taken it, or the stream has ended.
func TestAnswersOnStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		waiting := make(chan struct{})
		h.index.recall = func(ctx context.Context, q memory.Query) (memory.Result, error) {
			err := q.Hold.Take(600 << 10)
			if err == nil {
				<-waiting
			}
			return memory.Result{Snapshot: 5}, err
		}
		w, _ := h.open(t)
		w.in <- recallFrame(1)
		synctest.Wait()
		w.in <- recallFrame(2)
		_, _, done := answers(w.frames())
		require.NotNil(t, done)
		assert.Equal(t, "ANSWERS_UNREAD", done.GetErrorReason())
		assert.NotZero(t, done.GetRetryAfter().AsDuration())
		close(waiting)
		_, _, done = answers(w.frames())
		require.NotNil(t, done)
		assert.Zero(t, done.GetCode())
		assert.Zero(t, h.hub.answers.Load())
		close(w.in)
		require.NoError(t, <-w.result)
	})
}
