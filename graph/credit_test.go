package graph

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func items(n int) Window { return Window{Items: n, Bytes: int64(n)} }

func TestCreditServesWaitersInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCredit("e", items(10))
		require.NoError(t, c.tryTake(items(8)))
		served := make(chan int, 3)
		for _, n := range []int{9, 1, 2} {
			go func() {
				if c.take(t.Context(), items(n)) == nil {
					served <- n
				}
			}()
			synctest.Wait()
		}
		require.Empty(t, served)
		require.ErrorIs(t, c.tryTake(items(1)), ErrNoCredit, "it would fit, but others wait")
		c.give(items(8))
		synctest.Wait()
		require.ElementsMatch(t, []int{9, 1}, []int{<-served, <-served}, "the large one is not starved")
		c.give(items(9))
		synctest.Wait()
		require.Equal(t, 2, <-served)
		require.Equal(t, items(3), c.depth())
	})
}

func TestCreditGivenUpServesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCredit("e", items(10))
		require.NoError(t, c.tryTake(items(5)))
		ctx, cancel := context.WithCancel(t.Context())
		first, second := errors.New("waits"), errors.New("waits")
		go func() { first = c.take(ctx, items(9)) }()
		synctest.Wait()
		go func() { second = c.take(t.Context(), items(4)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.ErrorIs(t, first, context.Canceled)
		require.NoError(t, second)
		require.Equal(t, items(9), c.depth())
	})
}

func TestCreditKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := errors.New("dead")
		c := newCredit("e", items(10))
		require.NoError(t, c.tryTake(items(10)))
		var waiting error
		go func() { waiting = c.take(t.Context(), items(1)) }()
		synctest.Wait()
		c.kill(dead)
		synctest.Wait()
		require.Equal(t, dead, waiting)
		require.Equal(t, dead, c.tryTake(items(1)))
		c.give(items(10))
		require.Zero(t, c.depth())
	})
}

func TestCreditBothDimensionsBind(t *testing.T) {
	c := newCredit("e", Window{Items: 10, Bytes: 100})
	require.NoError(t, c.tryTake(Window{Items: 1, Bytes: 95}))
	require.ErrorIs(t, c.tryTake(Window{Items: 1, Bytes: 6}), ErrNoCredit)
	require.ErrorIs(t, c.tryTake(Window{Items: 10, Bytes: 1}), ErrNoCredit)
	require.ErrorContains(t, c.tryTake(Window{Items: 1, Bytes: 101}), "never fits")
	require.ErrorContains(t, c.tryTake(Window{Items: 11, Bytes: 1}), "never fits")
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"journal", "jurnal", 1}, {"shard", "shrad", 1}, {"kitten", "sitting", 3}} {
		require.Equal(t, c.want, editDistance(c.a, c.b))
		require.Equal(t, c.want, editDistance(c.b, c.a))
	}
}
