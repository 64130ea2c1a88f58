package graph_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
)

var errFaulty = errors.New("faulty")

// through runs one stage between "charge" and "out".
func through(t *testing.T, traits graph.Traits, s graph.Stage[word, word], sink end) *graph.Engine {
	t.Helper()
	r := toys(sink)
	addStage(r, "s", traits, func(graph.Deps) graph.Stage[word, word] { return s })
	return start(t, line("charge", "s"), r, graph.Options{})
}

func TestDeliversEachItemOnce(t *testing.T) {
	e := through(t, graph.Traits{}, each[word, word](pass), discard)
	o, err := offer(e, 0, 10)
	require.NoError(t, err)
	drain(t, e)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, o.Order())
	require.Empty(t, o.Faults())
	for i := range 10 {
		require.NoError(t, o.Err(i))
	}
}

func TestAStageThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		stage each[word, word]
		want  string
		is    error
	}{
		"leaves items": {
			func(context.Context, *graph.Batch[word], graph.Port[word]) error { return nil },
			`stage "s" lost the item: neither sent on nor rejected`, graph.ErrLost,
		},
		"drops items that it took out": {func(_ context.Context, in *graph.Batch[word], _ graph.Port[word]) error {
			graph.Take(in, []int{0, 1, 2})
			return nil
		}, `stage "s" lost the item`, graph.ErrLost},
		"returns an error": {
			func(context.Context, *graph.Batch[word], graph.Port[word]) error { return errFaulty },
			"faulty", errFaulty,
		},
		"panics": {
			func(context.Context, *graph.Batch[word], graph.Port[word]) error { panic("no such thing") },
			`stage "s": panicked: no such thing`, graph.ErrPanicked,
		},
		"panics with an error": {
			func(context.Context, *graph.Batch[word], graph.Port[word]) error { panic(errFaulty) },
			`stage "s": panicked: faulty`, errFaulty,
		},
		"rejects twice": {func(_ context.Context, in *graph.Batch[word], _ graph.Port[word]) error {
			for range 2 {
				in.RejectLive(errFaulty)
				in.Reject(0, errFaulty)
			}
			return nil
		}, `faulty`, errFaulty},
	} {
		t.Run(name, func(t *testing.T) {
			e := through(t, graph.Traits{Fused: true}, c.stage, discard)
			o, err := offer(e, 0, 3)
			require.Error(t, err)
			require.Equal(t, 3, o.Settled(), "settled at once, not at the drain")
			require.Empty(t, o.Faults())
			for i := range 3 {
				require.ErrorContains(t, o.Err(i), c.want)
				require.ErrorIs(t, o.Err(i), c.is)
			}
			drain(t, e)
		})
	}
}

func TestWhatIsSentIsOutOfReach(t *testing.T) {
	gate := make(chan struct{})
	r := toys(func(context.Context, *graph.Batch[word]) error { <-gate; return nil })
	addStage(r, "s", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] {
		return each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
			copied := *in
			require.NoError(t, out.Send(ctx, in))
			require.Zero(t, in.Len())
			require.Zero(t, in.Live())
			require.NoError(t, out.Send(ctx, in), "an empty batch is nothing to send")
			require.PanicsWithValue(t, "graph: item sent twice, or by a stage that does not own it", func() { _ = out.Send(ctx, &copied) })
			return errFaulty
		})
	})
	spec := line("charge", "s")
	at(spec, "out").Edge = &graph.EdgeSpec{Window: spec.Budget}
	e := start(t, spec, r, graph.Options{})
	o, err := offer(e, 0, 3)
	require.ErrorIs(t, err, errFaulty)
	close(gate)
	drain(t, e)
	require.NoError(t, o.Err(0), "the stage's error is not the item's, which went on before")
	require.Empty(t, o.Faults())
}

func TestAHoldersErrorRejectsItsBatchOnly(t *testing.T) {
	h := &holder{cap: 10}
	e := through(t, graph.Traits{}, &fussy{holder: h}, discard)
	held, err := offer(e, 0, 2)
	require.NoError(t, err)
	refused, err := offer(e, 1, 3)
	require.NoError(t, err)
	drain(t, e)
	require.NoError(t, held.Err(0))
	require.ErrorIs(t, refused.Err(0), errFaulty)
}

// fussy is a holder that refuses batches of three, and holds for as long as it may.
type fussy struct{ *holder }

func (f *fussy) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	if in.Len() == 3 {
		return errFaulty
	}
	return f.holder.Process(ctx, in, out)
}

func (f *fussy) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[word]) (time.Duration, error) {
	if why == graph.FlushDrain {
		return f.holder.Flush(ctx, why, out)
	}
	return time.Hour, nil
}

func TestHolderIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := through(t, graph.Traits{Fused: true}, &holder{cap: 50, wait: time.Second}, discard)
		o, err := offer(e, 0, 10)
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, o.Settled(), "held")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 10, o.Settled(), "flushed by the timer")

		o, err = offer(e, 1, 10)
		require.NoError(t, err)
		drain(t, e)
		require.NoError(t, o.Err(9), "flushed by the drain")
	})
}

func TestAHolderThatClaimsToHoldNothingLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := through(t, graph.Traits{}, liar{&holder{cap: 50}}, discard)
		o, err := offer(e, 0, 10)
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorIs(t, o.Err(0), graph.ErrLost)
		drain(t, e)
	})
}

type liar struct{ *holder }

func (liar) Flush(context.Context, graph.FlushReason, graph.Port[word]) (time.Duration, error) {
	return 0, nil
}

func TestTrySendLeavesTheBatchWithItsSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := toys(func(context.Context, *graph.Batch[word]) error { <-gate; return nil })
		addStage(r, "s", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] { return each[word, word](tries) })
		spec := line("charge", "s")
		at(spec, "out").Edge = &graph.EdgeSpec{Window: graph.Window{Items: 100, Bytes: 1 << 10}}
		e := start(t, spec, r, graph.Options{})
		first, err := offer(e, 0, 60)
		require.NoError(t, err)
		synctest.Wait()
		second, err := offer(e, 0, 60)
		require.NoError(t, err)
		third, err := offer(e, 0, 60)
		require.NoError(t, err)
		require.ErrorIs(t, third.Err(0), errModel, "rejected by the stage, which still had it")
		require.EqualValues(t, 1, e.Stats().Edges[0].Refused)
		close(gate)
		drain(t, e)
		require.NoError(t, first.Err(0))
		require.NoError(t, second.Err(0))
	})
}

func TestABatchThatNeverFitsIsRefusedAtOnce(t *testing.T) {
	r := toys(discard)
	addStage(r, "s", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return each[word, word](pass) })
	spec := line("charge", "s")
	at(spec, "s").Edge = &graph.EdgeSpec{Window: graph.Window{Items: 100, Bytes: 1 << 10}}
	e := start(t, spec, r, graph.Options{})
	o, err := offer(e, 0, 101)
	require.ErrorContains(t, err, `a batch of 101 items, 101B never fits the edge into "s", whose window is 100 items, 1KiB`)
	require.ErrorIs(t, o.Err(100), err)
	drain(t, e)
}

func TestASenderThatGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := toys(func(context.Context, *graph.Batch[word]) error { <-gate; return nil })
		spec := line("charge")
		at(spec, "out").Edge = &graph.EdgeSpec{Window: graph.Window{Items: 100, Bytes: 1 << 10}}
		e := start(t, spec, r, graph.Options{})
		for range 2 { // one batch in hand, one that fills the window
			_, err := offer(e, 0, 100)
			require.NoError(t, err)
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errFaulty)
		defer cancel()
		o := graphtest.NewOutcomes()
		err := inlet(e).Offer(ctx, graphtest.OfferOf([]word{{0, 1}}, func(word) int32 { return 1 }, o))
		require.ErrorIs(t, err, errFaulty)
		require.ErrorIs(t, o.Err(0), errFaulty)
		require.Equal(t, time.Second, e.Stats().Edges[0].Blocked)
		close(gate)
		drain(t, e)
	})
}

func TestLanesRunBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := toys(discard)
		addStage(r, "shard", graph.Traits{Fused: true, Partitions: true}, func(graph.Deps) graph.Stage[word, word] { return sharder{lanes: 2} })
		addStage(r, "s", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] {
			return each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
				require.Equal(t, 1, out.Lanes())
				require.Equal(t, in.Items[0].key%2, graph.LaneOf(ctx))
				if graph.LaneOf(ctx) == 0 {
					<-gate
				}
				return out.Lane(0).Send(ctx, in)
			})
		})
		e := start(t, line("charge", "shard", "s"), r, graph.Options{})
		even, err := offer(e, 0, 3)
		require.NoError(t, err)
		odd, err := offer(e, 1, 3)
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, even.Settled())
		require.Equal(t, 3, odd.Settled())
		close(gate)
		drain(t, e)
		require.Equal(t, 3, even.Settled())
	})
}

func TestAFusedSinkBehindAPartitionKnowsItsLane(t *testing.T) {
	var wrong atomic.Int64
	r := toys(func(ctx context.Context, in *graph.Batch[word]) error {
		if graph.LaneOf(ctx) != in.Items[0].key%3 {
			wrong.Add(1)
		}
		return nil
	})
	addStage(r, "shard", graph.Traits{Partitions: true}, func(graph.Deps) graph.Stage[word, word] { return sharder{lanes: 3} })
	e := start(t, line("charge", "shard"), r, graph.Options{})
	for key := range 6 {
		_, err := offer(e, key, 2)
		require.NoError(t, err)
	}
	drain(t, e)
	require.Zero(t, wrong.Load())
}

func TestAPartitionMustNameTheLane(t *testing.T) {
	r := toys(discard)
	addStage(r, "s", graph.Traits{Fused: true, Partitions: true}, func(graph.Deps) graph.Stage[word, word] { return careless{} })
	e := start(t, line("charge", "s"), r, graph.Options{})
	_, err := offer(e, 0, 1)
	require.ErrorContains(t, err, `"s" sends without a lane, but its output has 2; use Lane(i)`)
	drain(t, e)
}

type careless struct{}

func (careless) Lanes() int { return 2 }
func (careless) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	return pass(ctx, in, out)
}

func TestWorkersRunBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := toys(discard)
		var running, most atomic.Int64
		addStage(r, "s", graph.Traits{Parallel: true}, func(graph.Deps) graph.Stage[word, word] {
			return each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
				return out.Send(ctx, in)
			})
		})
		spec := line("charge", "s")
		at(spec, "s").Workers = 3
		e := start(t, spec, r, graph.Options{})
		for range 5 {
			_, err := offer(e, 0, 1)
			require.NoError(t, err)
		}
		drain(t, e)
		require.EqualValues(t, 3, most.Load())
	})
}

func TestSeveralSourcesKeepTheirOrder(t *testing.T) {
	got := map[int][]int{}
	r := toys(func(_ context.Context, in *graph.Batch[word]) error {
		for _, w := range in.Items {
			got[w.key] = append(got[w.key], w.n)
		}
		return nil
	})
	spec := line("charge")
	spec.Nodes = append(spec.Nodes, graph.NodeSpec{Name: "in2", Role: graph.RoleSource, Kind: "in"})
	at(spec, "charge").From = append(at(spec, "charge").From, graph.FromSpec{Name: "in2"})
	at(spec, "out").Edge = &graph.EdgeSpec{Window: spec.Budget}
	e := start(t, spec, r, graph.Options{})
	done := make(chan error)
	for key, source := range []string{"in", "in2"} {
		go func() {
			var err error
			for n := range 100 {
				in := e.Endpoints()[source].(graph.Inlet[word])
				err = errors.Join(err, in.Offer(context.Background(), graphtest.OfferOf([]word{{key, n}}, func(word) int32 { return 1 }, graphtest.NewOutcomes())))
			}
			done <- err
		}()
	}
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	drain(t, e)
	for key := range 2 {
		require.IsIncreasing(t, got[key])
		require.Len(t, got[key], 100)
	}
}

func TestOfferIsChecked(t *testing.T) {
	e := through(t, graph.Traits{}, each[word, word](pass), discard)
	o := graphtest.NewOutcomes()
	err := inlet(e).Offer(t.Context(), graph.Offer[word]{Items: make([]word, 2), Bytes: []int32{1}, Settler: o})
	require.ErrorContains(t, err, "offers 2 items with 1 weights")
	require.ErrorIs(t, o.Err(1), err)
	err = inlet(e).Offer(t.Context(), graph.Offer[word]{Items: make([]word, 1), Bytes: []int32{-1}, Settler: graphtest.NewOutcomes()})
	require.ErrorContains(t, err, "an item of -1 bytes")
	require.NoError(t, inlet(e).Offer(t.Context(), graph.Offer[word]{}))
	drain(t, e)
}
