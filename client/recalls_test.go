package client

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func recallFrame(w *fakeWire, m any) {
	frame := &engramv1.MemoryFlowResponse{}
	switch m := m.(type) {
	case *engramv1.RecallStarted:
		frame.Frame = &engramv1.MemoryFlowResponse_RecallStarted{RecallStarted: m}
	case *engramv1.RecallChunk:
		frame.Frame = &engramv1.MemoryFlowResponse_RecallChunk{RecallChunk: m}
	case *engramv1.RecallDone:
		frame.Frame = &engramv1.MemoryFlowResponse_RecallDone{RecallDone: m}
	}
	w.down <- frame
	synctest.Wait()
}

type recalled struct {
	answer *Recall
	err    error
}

func recallInBackground(ctx context.Context, s *Session) <-chan recalled {
	done := make(chan recalled, 1)
	go func() {
		answer, err := s.Recall(ctx, Query{Embedding: []float32{1}, Limit: 3})
		done <- recalled{answer, err}
	}()
	return done
}

func TestARecallCollectsItsChunks(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		done := recallInBackground(t.Context(), s)
		op := w.next().GetRecall()
		require.NotNil(t, op)
		assert.Equal(t, uint32(3), op.GetQuery().GetLimit())
		id := op.GetRecallId()
		recallFrame(w, &engramv1.RecallStarted{RecallId: id, SnapshotVersion: 12})
		recallFrame(w, &engramv1.RecallChunk{RecallId: id, Hits: []*engramv1.Hit{{MemoryId: "b", Score: 0.5}}, Provisional: true})
		recallFrame(w, &engramv1.RecallChunk{RecallId: id + 7, Hits: []*engramv1.Hit{{MemoryId: "another's"}}})
		recallFrame(w, &engramv1.RecallChunk{RecallId: id, Hits: []*engramv1.Hit{{MemoryId: "a", Score: 0.9}}})
		recallFrame(w, &engramv1.RecallDone{RecallId: id, FinalOrder: []string{"a", "b"}})
		got := <-done
		require.NoError(t, got.err)
		assert.Equal(t, uint64(12), got.answer.Version)
		require.Len(t, got.answer.Hits, 2)
		assert.Equal(t, "a", got.answer.Hits[0].ID)
	})
}

func TestARecallsFailureIsItsOwn(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		done := recallInBackground(t.Context(), s)
		id := w.next().GetRecall().GetRecallId()
		recallFrame(w, &engramv1.RecallDone{RecallId: id, Code: 8, Reason: "the recall queue is full", RetryAfter: seconds(1)})
		var e *Error
		require.ErrorAs(t, (<-done).err, &e)
		assert.True(t, e.Retryable())
		assert.Equal(t, time.Second, e.RetryAfter)
		assert.NoError(t, s.Err())

		done = recallInBackground(t.Context(), s)
		id = w.next().GetRecall().GetRecallId()
		recallFrame(w, &engramv1.RecallDone{RecallId: id, Code: 8, Reason: "the answer has more than 96 MiB", ErrorReason: "ANSWER_TOO_LARGE"})
		require.ErrorAs(t, (<-done).err, &e)
		assert.False(t, e.Retryable(), "the same recall has the same answer")
	})
}

func TestARecallInFlightIsAskedAgainOnTheNextStream(t *testing.T) {
	for name, lose := range map[string]func(w *fakeWire, id uint64){
		"lost": func(w *fakeWire, id uint64) {
			recallFrame(w, &engramv1.RecallChunk{RecallId: id, Hits: []*engramv1.Hit{{MemoryId: "half an answer"}}})
			w.lose(io.EOF)
		},
		"shut down": func(w *fakeWire, id uint64) {
			w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_SHUTDOWN})
			recallFrame(w, &engramv1.RecallDone{RecallId: id, Code: 14, Reason: "shutting down"})
			w.lose(unavailable("shutting down"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(p *script) {
				t := p.t
				s, w := p.open(SessionOptions{}, welcome(1, 0))
				defer abandon(s)
				done := recallInBackground(t.Context(), s)
				lose(w, w.next().GetRecall().GetRecallId())
				w, _ = p.reopened(welcome(2, 0))
				id := w.next().GetRecall().GetRecallId()
				recallFrame(w, &engramv1.RecallChunk{RecallId: id, Hits: []*engramv1.Hit{{MemoryId: "a"}}})
				recallFrame(w, &engramv1.RecallDone{RecallId: id})
				got := <-done
				require.NoError(t, got.err)
				assert.Len(t, got.answer.Hits, 1)
			})
		})
	}
}

func TestARecallThatIsGivenUpIsCancelled(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := recallInBackground(ctx, s)
		id := w.next().GetRecall().GetRecallId()
		assert.ErrorIs(t, (<-done).err, context.DeadlineExceeded)
		assert.Equal(t, id, w.next().GetCancel().GetRecallId())
		recallFrame(w, &engramv1.RecallDone{RecallId: id, Code: 1}) // its answer is nobody's now
		assert.NoError(t, s.Err())
	})
}

func TestNoMoreRecallsAreAtWorkThanTheServerAllows(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		hello := welcome(1, 0)
		hello.Limits = &engramv1.Limits{MaxConcurrentRecalls: 2}
		s, w := p.open(SessionOptions{}, hello)
		defer abandon(s)
		var answers []<-chan recalled
		for range 3 {
			answers = append(answers, recallInBackground(t.Context(), s))
		}
		first := w.next().GetRecall().GetRecallId()
		second := w.next().GetRecall().GetRecallId()
		require.Nil(t, w.next())
		recallFrame(w, &engramv1.RecallDone{RecallId: first})
		third := w.next().GetRecall().GetRecallId()
		recallFrame(w, &engramv1.RecallDone{RecallId: second})
		recallFrame(w, &engramv1.RecallDone{RecallId: third})
		for _, a := range answers {
			assert.NoError(t, (<-a).err)
		}
	})
}

func TestRecallsDoNotWaitForCreditAndFailWithTheSession(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, withCredit(welcome(1, 0), 0))
		observe(t, s, 1)
		done := recallInBackground(t.Context(), s)
		require.NotNil(t, w.next().GetRecall())
		w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_FENCED})
		assert.ErrorIs(t, (<-done).err, ErrFenced)
	})
}

// A recall whose caller gave up is at work at the server until it says done: another in its place could be one too many.
func TestAGivenUpRecallKeepsItsPlace(t *testing.T) {
	r := recalls{limit: 1}
	first, second := r.add(&engramv1.RecallQuery{}), r.add(&engramv1.RecallQuery{})
	require.Equal(t, first.id, r.frame().GetRecall().GetRecallId())
	r.drop(first)
	require.Equal(t, first.id, r.frame().GetCancel().GetRecallId())
	require.Nil(t, r.frame())
	require.False(t, r.idle(), "the second waits")
	r.chunk(&engramv1.RecallChunk{RecallId: first.id, Hits: []*engramv1.Hit{{}}})
	r.done(&engramv1.RecallDone{RecallId: first.id, Code: uint32(connect.CodeCanceled)})
	require.Equal(t, second.id, r.frame().GetRecall().GetRecallId())
	r.drop(second)
	require.True(t, r.idle(), "nobody waits")
	r.detach()
	require.Empty(t, r.waiting, "what nobody waits for is not asked again")
}
