package index

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
)

func TestThePoolBoundsWhatRunsAndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(2, 3)
		var running, most, ran atomic.Int32
		work := func() error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(40 * time.Millisecond)
			running.Add(-1)
			ran.Add(1)
			return nil
		}
		for range 5 {
			go func() { _ = p.run(t.Context(), work) }()
		}
		synctest.Wait()
		asked := time.Now()
		err := p.run(t.Context(), work)
		require.Zero(t, time.Since(asked), "refused at once")
		require.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
		require.Equal(t, leastRetry, fault.As(err).RetryAfter, "nothing is measured yet")

		time.Sleep(time.Second)
		require.Equal(t, []int32{2, 5}, []int32{most.Load(), ran.Load()})
		require.Zero(t, p.inside.Load())
		require.Equal(t, 80*time.Millisecond, fault.As(p.full()).RetryAfter, "4 recalls of 40 ms on 2 workers")
		require.NoError(t, p.run(t.Context(), func() error { return nil }))
	})
}

func TestRetryAfterIsClamped(t *testing.T) {
	p := newPool(1, 100)
	p.measure(time.Hour)
	require.Equal(t, mostRetry, fault.As(p.full()).RetryAfter)
}

func TestAWaitingRecallGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, 1)
		release := make(chan struct{})
		go func() { _ = p.run(context.Background(), func() error { <-release; return nil }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := p.run(ctx, func() error { t.Error("ran"); return nil })
		require.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
		close(release)
		synctest.Wait()

		gone, cancel := context.WithCancel(context.Background())
		cancel()
		for range 50 { // both ways are open: a caller that has gone must never run
			require.Equal(t, fault.Canceled, fault.KindOf(p.run(gone, func() error { t.Error("ran"); return nil })))
		}
	})
}

func TestAFailedRecallLeavesThePool(t *testing.T) {
	p := newPool(1, 0)
	broken := errors.New("broken")
	require.ErrorIs(t, p.run(t.Context(), func() error { return broken }), broken)
	require.Panics(t, func() { _ = p.run(t.Context(), func() error { panic("a bug") }) })
	require.NoError(t, p.run(t.Context(), func() error { return nil }))
}
