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

// once is a recall of one turn.
func once(ctx context.Context, p *pool, fn func() error) error {
	r, err := p.begin()
	if err != nil {
		return err
	}
	defer r.end()
	return r.turn(ctx, fn)
}

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
			go func() { _ = once(t.Context(), p, work) }()
		}
		synctest.Wait()
		asked := time.Now()
		err := once(t.Context(), p, work)
		require.Zero(t, time.Since(asked), "refused at once")
		require.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
		require.Equal(t, leastRetry, fault.As(err).RetryAfter, "nothing is measured yet")

		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []int32{2, 5}, []int32{most.Load(), ran.Load()})
		require.Zero(t, p.inside)
		require.Zero(t, p.running)
		require.Equal(t, 80*time.Millisecond, fault.As(p.full()).RetryAfter, "4 recalls of 40 ms on 2 workers")
		require.NoError(t, once(t.Context(), p, func() error { return nil }))
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
		go func() { _ = once(context.Background(), p, func() error { <-release; return nil }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := once(ctx, p, func() error { t.Error("ran"); return nil })
		require.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
		close(release)
		synctest.Wait()

		gone, cancel := context.WithCancel(context.Background())
		cancel()
		for range 50 { // both ways are open: a caller that has gone must never run
			require.Equal(t, fault.Canceled, fault.KindOf(once(gone, p, func() error { t.Error("ran"); return nil })))
		}
	})
}

func TestAFailedRecallLeavesThePool(t *testing.T) {
	p := newPool(1, 0)
	broken := errors.New("broken")
	require.ErrorIs(t, once(t.Context(), p, func() error { return broken }), broken)
	require.Panics(t, func() { _ = once(t.Context(), p, func() error { panic("a bug") }) })
	require.NoError(t, once(t.Context(), p, func() error { return nil }))
}

// Large answers hold a small recall up by a turn, not by their length; and many small ones do not stop a large one.
func TestSmallRecallsGoBeforeTheLaterTurnsOfLargeOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const turn = 10 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		p := newPool(1, 100)
		var large atomic.Int32
		for range 4 {
			go func() {
				r, err := p.begin()
				for err == nil {
					err = r.turn(ctx, func() error { time.Sleep(turn); large.Add(1); return nil })
				}
				r.end()
			}()
		}
		small := func() error {
			return once(ctx, p, func() error { time.Sleep(turn); return nil })
		}
		time.Sleep(100 * turn) // all have had their first
		asked := time.Now()
		require.NoError(t, small())
		require.LessOrEqual(t, time.Since(asked), 2*turn)

		before := large.Load()
		for range 3 {
			go func() {
				for small() == nil { // one after the other, as fast as they are answered
				}
			}()
		}
		time.Sleep(500 * turn)
		require.InDelta(t, 500/(fairness+1), large.Load()-before, 3)
		cancel()
		time.Sleep(2 * turn)
		synctest.Wait()
		require.Zero(t, p.inside)
	})
}

// A turn that comes to a recall just as its caller gives up is passed on.
func TestATurnIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(2, 1000)
		for i := range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond)
			go func() {
				defer cancel()
				_ = once(ctx, p, func() error { time.Sleep(time.Millisecond); return nil })
			}()
			if i%5 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []int{0, 0}, []int{p.inside, p.running})
		require.Empty(t, p.waiting[0])
		require.Empty(t, p.waiting[1])
	})
}
