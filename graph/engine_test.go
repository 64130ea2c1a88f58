package graph_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

func TestDeliversEachItemOnce(t *testing.T) {
	r := toys(discard)
	addStage(r, "a", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return each[word, word](pass) })
	e := start(t, line("charge", "a"), r, graph.Options{})
	o, err := offer(e, 0, 10)
	require.NoError(t, err)
	drain(t, e)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, o.Order())
	require.Empty(t, o.Faults())
	for i := range 10 {
		require.NoError(t, o.Err(i))
	}
}

func TestTimerFlushesAHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := toys(discard)
		addStage(r, "hold", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return &holder{cap: 50, wait: time.Second} })
		e := start(t, line("charge", "hold"), r, graph.Options{})
		o, err := offer(e, 0, 10)
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, o.Settled(), "held")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 10, o.Settled(), "flushed by the timer")
		drain(t, e)
	})
}

var errFaulty = errors.New("faulty")

var _ = context.Background
