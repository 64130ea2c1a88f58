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
	"github.com/engram-stream/engram/internal/fault"
)

func TestOffersOutsideOfARun(t *testing.T) {
	e, found := line("charge").Build(toys(discard), graph.Options{})
	require.Empty(t, found)
	o, err := offer(e, 0, 2)
	require.ErrorIs(t, err, graph.ErrNotStarted)
	require.ErrorIs(t, o.Err(1), graph.ErrNotStarted)

	require.NoError(t, e.Start(t.Context()))
	require.Error(t, e.Start(t.Context()), "an engine starts once")
	drain(t, e)
	o, err = offer(e, 0, 2)
	require.ErrorIs(t, err, graph.ErrDraining)
	require.ErrorIs(t, o.Err(1), graph.ErrDraining)
	drain(t, e)
	require.Error(t, e.Start(t.Context()))
}

func TestDrainOfAnEngineThatNeverStarted(t *testing.T) {
	e, _ := line("charge").Build(toys(discard), graph.Options{})
	drain(t, e)
	require.Error(t, e.Start(t.Context()))
}

// stopping blocks in Process until its context ends, or until let go of if it is stubborn.
type stopping struct {
	stubborn chan struct{} // nil: it heeds its context
	closed   *[]string
	name     string
}

func (s stopping) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	if s.stubborn != nil {
		<-s.stubborn
	} else {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return out.Send(ctx, in)
}

func (s stopping) Close() error {
	*s.closed = append(*s.closed, s.name)
	return nil
}

// blocked starts in → charge → a → s → out where s blocks, with a batch of 3 in s, and 2 + 4 queued into it.
func blocked(t *testing.T, s stopping) (*graph.Engine, []func() error) {
	r := toys(discard)
	addStage(r, "a", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return closer{each[word, word](pass), s.closed, "a"} })
	addStage(r, "s", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return s })
	e := start(t, line("charge", "a", "s"), r, graph.Options{})
	var errs []func() error
	for _, n := range []int{3, 2, 4} {
		o, err := offer(e, n, n)
		require.NoError(t, err)
		synctest.Wait()
		time.Sleep(time.Second)
		errs = append(errs, func() error {
			if o.Settled() != n || len(o.Faults()) > 0 {
				return errors.New("not settled once")
			}
			return o.Err(0)
		})
	}
	return e, errs
}

type closer struct {
	graph.Stage[word, word]
	closed *[]string
	name   string
}

func (c closer) Close() error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

func TestDrainCancelsAtThreeQuarters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		e, errs := blocked(t, stopping{closed: &closed, name: "s"})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		residue, err := e.Drain(ctx)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
		require.Equal(t, []graph.Left{{Node: "s", Queued: 6, Inside: 3, Oldest: 6 * time.Second}}, residue.Left)
		require.Equal(t, 9, residue.Items())
		require.Equal(t, `"s": 6 queued, 3 inside, oldest 6s`, residue.String())
		for _, settled := range errs {
			require.ErrorIs(t, settled(), graph.ErrStopped)
		}
		require.Equal(t, []string{"s", "a"}, closed, "closed in reverse order")
		require.Zero(t, e.Stats().Budget)

		again, err2 := e.Drain(t.Context())
		require.Equal(t, residue, again)
		require.Equal(t, err, err2)
	})
}

// audited notes whether its code runs after its Close.
type audited struct {
	holder
	closed, late atomic.Bool
}

func (a *audited) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[word]) (time.Duration, error) {
	if a.closed.Load() {
		a.late.Store(true)
	}
	return a.holder.Flush(ctx, why, out)
}

func (a *audited) Close() error {
	a.closed.Store(true)
	return nil
}

func TestDrainThatGivesUpAtOnceClosesWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &audited{holder: holder{cap: 10, wait: time.Hour}}
		e := through(t, graph.Traits{}, a, discard)
		o, err := offer(e, 0, 3)
		require.NoError(t, err)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = e.Drain(ctx)
		require.ErrorContains(t, err, "ran out of time")
		synctest.Wait()
		require.Equal(t, 3, o.Settled())
		require.True(t, a.closed.Load(), "its goroutine needed a moment only")
		require.False(t, a.late.Load(), "no call comes after Close")
	})
}

func TestDrainDoesNotCloseWhatAStuckOfferMayStillReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		stubborn := make(chan struct{})
		r := toys(discard)
		addStage(r, "s", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] {
			return stopping{closed: &closed, name: "s", stubborn: stubborn}
		})
		addStage(r, "a", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] { return closer{each[word, word](pass), &closed, "a"} })
		addStage(r, "b", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return closer{each[word, word](pass), &closed, "b"} })
		e := start(t, line("charge", "s", "a", "b"), r, graph.Options{})
		go func() { _, _ = offer(e, 0, 3) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := e.Drain(ctx)
		require.Error(t, err)
		require.Equal(t, []string{"b"}, closed, "a runs on the goroutine of the offer that s holds up")
		close(stubborn)
	})
}

func TestAHardStopEndsTheContextOfFusedStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		r := toys(discard)
		addStage(r, "s", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] { return stopping{closed: &closed, name: "s"} })
		e := start(t, line("charge", "s"), r, graph.Options{})
		var o *graphtest.Outcomes
		go func() { o, _ = offer(e, 0, 3) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		residue, err := e.Drain(ctx)
		require.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
		require.Equal(t, []graph.Left{{Node: "s", Inside: 3, Oldest: 3 * time.Second}}, residue.Left, "and it was not stuck")
		synctest.Wait()
		require.ErrorIs(t, o.Err(0), graph.ErrStopped, "context.Cause says why")
		require.Equal(t, []string{"s"}, closed)
	})
}

// An offer's context still is the caller's: its values, and its end.
func TestTheCallerEndsTheContextOfFusedStages(t *testing.T) {
	type key struct{}
	ended := errors.New("the client has gone")
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "trace"))
	r := toys(discard)
	addStage(r, "s", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] {
		return each[word, word](func(ctx context.Context, _ *graph.Batch[word], _ graph.Port[word]) error {
			require.NoError(t, ctx.Err())
			require.Equal(t, "trace", ctx.Value(key{}))
			cancel(ended)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	})
	e := start(t, line("charge", "s"), r, graph.Options{})
	o := graphtest.NewOutcomes()
	err := inlet(e).Offer(ctx, graphtest.OfferOf([]word{{}}, func(word) int32 { return 1 }, o))
	require.ErrorIs(t, err, ended)
	require.ErrorIs(t, o.Err(0), ended)
	drain(t, e)
}

func TestCreditTakenForAbandonedItemsIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := toys(discard)
		addStage(r, "late", graph.Traits{Fused: true, Charges: true}, func(d graph.Deps) graph.Stage[word, word] {
			return each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
				<-free
				return charge(d.Budget)(ctx, in, out)
			})
		})
		e := start(t, line("late"), r, graph.Options{})
		go func() { _, _ = offer(e, 0, 3) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := e.Drain(ctx)
		require.ErrorContains(t, err, "3 items left")
		close(free)
		synctest.Wait()
		require.Zero(t, e.Stats().Budget)
	})
}

// clinging does not return from Close until it is let go.
type clinging struct {
	graph.Stage[word, word]
	free chan struct{}
}

func (c clinging) Close() error {
	<-c.free
	return nil
}

func TestDrainGivesUpOnACloseThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		free := make(chan struct{})
		r := toys(discard)
		addStage(r, "a", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return closer{each[word, word](pass), &closed, "a"} })
		addStage(r, "s", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return clinging{each[word, word](pass), free} })
		e := start(t, line("charge", "a", "s"), r, graph.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		_, err := e.Drain(ctx)
		require.Less(t, time.Since(began), 5*time.Second)
		require.ErrorContains(t, err, `close "s": it did not return in time`)
		require.Equal(t, []string{"a"}, closed, "the others are closed all the same")
		close(free)
	})
}

func TestDrainGivesUpOnAStageThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		stubborn := make(chan struct{})
		e, errs := blocked(t, stopping{closed: &closed, name: "s", stubborn: stubborn})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		residue, err := e.Drain(ctx)
		require.ErrorContains(t, err, "drain ran out of time with 9 items left")
		require.True(t, residue.Left[0].Stuck)
		require.Equal(t, []string{"a"}, closed, "what still runs is not closed under its feet")
		for _, settled := range errs {
			require.ErrorIs(t, settled(), graph.ErrStopped)
		}
		close(stubborn) // what it does now touches nobody
		synctest.Wait()
		for _, settled := range errs {
			require.ErrorIs(t, settled(), graph.ErrStopped)
		}
		require.Zero(t, e.Stats().Budget)
	})
}

func TestDrainWithoutADeadlineEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		e, errs := blocked(t, stopping{closed: &closed, name: "s"})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		_, err := e.Drain(ctx)
		require.Error(t, err)
		for _, settled := range errs {
			require.ErrorIs(t, settled(), graph.ErrStopped)
		}
	})
}

func TestASecondDrainHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		stubborn := make(chan struct{})
		e, _ := blocked(t, stopping{closed: &closed, name: "s", stubborn: stubborn})
		first := make(chan error)
		go func() {
			_, err := e.Drain(context.Background())
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := e.Drain(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(stubborn)
		require.NoError(t, <-first)
	})
}

// lifecycle records what is opened and closed.
type lifecycle struct {
	graph.Stage[word, word]
	name  string
	log   *[]string
	fails bool
}

func (l lifecycle) Open(context.Context) error {
	*l.log = append(*l.log, "open "+l.name)
	if l.fails {
		return errOpen
	}
	return nil
}

func (l lifecycle) Close() error {
	*l.log = append(*l.log, "close "+l.name)
	return errFaulty
}

func TestOpenAndClose(t *testing.T) {
	var log []string
	r := graph.NewRegistry()
	for _, name := range []string{"a", "b", "c"} {
		addStage(r, name, graph.Traits{}, func(graph.Deps) graph.Stage[word, word] {
			return lifecycle{Stage: each[word, word](pass), name: name, log: &log}
		})
	}
	addStage(r, "bad", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] {
		return lifecycle{Stage: each[word, word](pass), name: "bad", log: &log, fails: true}
	})
	addStage(r, "charge", graph.Traits{Fused: true, Charges: true}, func(d graph.Deps) graph.Stage[word, word] { return charge(d.Budget) })
	graph.RegisterSource(r, "in", graph.Doc{}, none{}, func(none, graph.Deps, graph.Inlet[word]) (any, error) {
		return lifecycle{name: "in", log: &log}, nil
	})
	graph.RegisterSink(r, "out", graph.Doc{}, none{}, func(none, graph.Deps) (graph.Sink[word], error) { return end(discard), nil })

	e := start(t, line("charge", "a", "b"), r, graph.Options{})
	_, err := e.Drain(t.Context())
	require.ErrorContains(t, err, `close "b": faulty`)
	require.ErrorContains(t, err, `close "a": faulty`)
	require.Equal(t, []string{"open a", "open b", "open in", "close in", "close b", "close a"}, log, "sources open last and close first")

	log = nil
	e, found := line("charge", "a", "bad", "c").Build(r, graph.Options{})
	require.Empty(t, found)
	err = e.Start(t.Context())
	require.ErrorIs(t, err, errOpen)
	require.ErrorContains(t, err, `open "bad": no disk`)
	require.Equal(t, []string{"open a", "open bad", "close a"}, log)
	drain(t, e)
}

// explosive is a settler that panics, which is nobody's to handle.
type explosive struct{}

func (explosive) Settle(int, graph.Outcome) { panic("boom") }

func TestAPanicOutsideOfStagesStopsTheGraph(t *testing.T) {
	e := through(t, graph.Traits{}, each[word, word](func(context.Context, *graph.Batch[word], graph.Port[word]) error { return nil }), discard)
	require.NoError(t, inlet(e).Offer(t.Context(), graph.Offer[word]{Items: make([]word, 1), Bytes: make([]int32, 1), Settler: explosive{}}))
	require.Eventually(t, func() bool {
		_, err := offer(e, 0, 1)
		return errors.Is(err, graph.ErrStopped)
	}, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, e.Wait(t.Context()), `the graph failed at "s": boom`)
	_, err := e.Drain(t.Context())
	require.ErrorContains(t, err, `the graph failed at "s": boom`)
}
