package graph_test

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
)

// slow takes a second a batch, then sends it.
func slow(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	time.Sleep(time.Second)
	return out.Send(ctx, in)
}

func node(s graph.Stats, name string) graph.NodeStats {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	panic("no node " + name)
}

func TestStatsSplitTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := toys(func(context.Context, *graph.Batch[word]) error { time.Sleep(3 * time.Second); return nil })
		addStage(r, "slow", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return each[word, word](slow) })
		spec := line("charge", "slow")
		at(spec, "out").Edge = &graph.EdgeSpec{Window: graph.Window{Items: 100, Bytes: 1 << 10}}
		e := start(t, spec, r, graph.Options{})
		time.Sleep(2 * time.Second)
		for range 3 {
			_, err := offer(e, 0, 100)
			require.NoError(t, err)
		}
		// The stage works at 2-3 s, 3-4 s and 4-5 s; the sink at 3-6 s and 6-9 s; the third batch waits for
		// credit from 5 s to 6 s, when the sink takes the second.
		time.Sleep(3500 * time.Millisecond)
		s := e.Stats()
		require.Equal(t, 500*time.Millisecond, node(s, "slow").Blocked, "a wait that still goes on counts")
		require.Equal(t, "out", node(s, "slow").BlockedOn)
		require.Equal(t, graph.EdgeStats{
			From: []string{"slow"}, To: "out", Depth: graph.Window{Items: 100, Bytes: 100}, Window: graph.Window{Items: 100, Bytes: 1 << 10},
			Keys: 1, Deepest: graph.Window{Items: 100, Bytes: 100},
			Batches: 2, Items: 200, Bytes: 200, Blocked: 500 * time.Millisecond,
		}, s.Edges[1])
		require.Equal(t, []graph.DeskStats{{Busy: 2500 * time.Millisecond, Depth: graph.Window{Items: 100, Bytes: 100}}}, node(s, "out").Desks,
			"a batch in hand counts")
		require.Nil(t, node(s, "charge").Desks)
		require.Equal(t, graph.Window{Items: 300, Bytes: 300}, s.Budget)
		require.Equal(t, 3, s.Offers)

		drain(t, e)
		s = e.Stats()
		got := node(s, "slow")
		require.Equal(t, 3*time.Second, got.Busy)
		require.Equal(t, 1*time.Second, got.Blocked)
		require.Equal(t, 2*time.Second, got.Starved, "ended with the drain's closing of its edge")
		require.EqualValues(t, 3, got.Batches)
		require.EqualValues(t, 300, got.Items)
		require.Equal(t, graph.CallStats{Calls: 3, Items: 300, Busy: 3 * time.Second, Took: took(3, time.Second)}, got.Ended[graph.Success])
		require.Equal(t, 9*time.Second, node(s, "out").Busy)
		require.True(t, node(s, "charge").Fused)
		require.False(t, got.Fused)
	})
}

// took is CallStats.Took of n calls of one duration.
func took(n uint64, each time.Duration) (counts [len(graph.TookBounds) + 1]uint64) {
	i := sort.Search(len(graph.TookBounds), func(i int) bool { return each <= graph.TookBounds[i] })
	counts[i] = n
	return counts
}

func TestBlame(t *testing.T) {
	for name, c := range map[string]struct {
		stage                              each[word, word]
		sink                               end
		success, failure, refused, sinkBad uint64
	}{
		"nobody":           {stage: pass, sink: discard, success: 1},
		"the stage":        {stage: func(context.Context, *graph.Batch[word], graph.Port[word]) error { return errFaulty }, sink: discard, failure: 1},
		"downstream":       {stage: pass, sink: func(context.Context, *graph.Batch[word]) error { return errFaulty }, refused: 1, sinkBad: 1},
		"downstream, said": {stage: wrapped, sink: func(context.Context, *graph.Batch[word]) error { return errFaulty }, refused: 1, sinkBad: 1},
		"on purpose":       {stage: func(context.Context, *graph.Batch[word], graph.Port[word]) error { return refusal{} }, sink: discard, refused: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := through(t, graph.Traits{Fused: true}, c.stage, c.sink)
			_, _ = offer(e, 0, 1)
			drain(t, e)
			s := node(e.Stats(), "s")
			require.Equal(t, [3]uint64{c.success, c.failure, c.refused}, [3]uint64{
				s.Ended[graph.Success].Items, s.Ended[graph.Failure].Items, s.Ended[graph.Refused].Items,
			})
			require.Equal(t, c.sinkBad, node(e.Stats(), "out").Ended[graph.Failure].Calls)
		})
	}
}

func wrapped(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	if err := out.Send(ctx, in); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

type refusal struct{}

func (refusal) Error() string { return "not now" }
func (refusal) Refused() bool { return true }

func TestOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		e := through(t, graph.Traits{}, each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
			<-gate
			return out.Send(ctx, in)
		}), discard)
		require.Empty(t, e.Oldest(5))
		for n := range 3 {
			_, err := offer(e, 0, n+1)
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		require.Equal(t, []graph.OldOffer{{Age: 3 * time.Second, Open: 1, Node: "s"}, {Age: 2 * time.Second, Open: 2, Node: "s"}}, e.Oldest(2))
		require.Len(t, e.Oldest(9), 3)
		close(gate)
		drain(t, e)
		require.Empty(t, e.Oldest(5))
	})
}

// journal is a Hooks that writes down what it is told.
type journal struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

type traceKey struct{}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) Begin(ctx context.Context, c graph.Call) context.Context {
	var traces []any
	for _, t := range c.Traces {
		traces = append(traces, t.Value(traceKey{}))
	}
	if c.Offer {
		j.add("offer %s %d items of %v", c.Node, c.Items, traces)
		return context.WithValue(ctx, traceKey{}, fmt.Sprint("offer ", traces[0]))
	}
	j.add("begin %s/%d %d items flush %d of %v", c.Node, c.Lane, c.Items, c.Flush, traces)
	return context.WithValue(ctx, traceKey{}, "span of "+c.Node)
}

func (j *journal) End(ctx context.Context, c graph.Call, r graph.CallResult) {
	j.add("end %s %s in %s, busy %s, %v", ctx.Value(traceKey{}), r.Status, r.Elapsed, r.Busy, r.Err)
}

func (j *journal) Enqueue(node string, lane int, w graph.Window) {
	j.add("enqueue %s/%d %s", node, lane, w)
}

func (j *journal) Dequeue(node string, lane int, w graph.Window, waited time.Duration) {
	j.add("dequeue %s/%d %s after %s", node, lane, w, waited)
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		r := toys(func(context.Context, *graph.Batch[word]) error { return errFaulty })
		addStage(r, "hold", graph.Traits{}, func(graph.Deps) graph.Stage[word, word] { return &holder{cap: 10, wait: time.Second} })
		addStage(r, "slow", graph.Traits{Fused: true}, func(graph.Deps) graph.Stage[word, word] { return each[word, word](slow) })
		e := start(t, line("charge", "hold", "slow"), r, graph.Options{Hooks: j})
		for _, name := range []string{"first", "second"} {
			ctx := context.WithValue(t.Context(), traceKey{}, name)
			items := []word{{0, 0}, {0, 1}}
			require.NoError(t, inlet(e).Offer(ctx, graphtest.OfferOf(items, func(word) int32 { return 1 }, graphtest.NewOutcomes())))
			synctest.Wait()
		}
		time.Sleep(5 * time.Second)
		drain(t, e)
		require.Equal(t, []string{
			"offer in 2 items of [first]",
			"begin charge/0 2 items flush 0 of [offer first]",
			"enqueue hold/0 2 items, 2B",
			"end span of charge success in 0s, busy 0s, <nil>",
			"end offer first success in 0s, busy 0s, <nil>",
			"dequeue hold/0 2 items, 2B after 0s",
			"begin hold/0 2 items flush 0 of [offer first]",
			"end span of hold success in 0s, busy 0s, <nil>",
			"begin hold/0 2 items flush 1 of [offer first]",
			"end span of hold success in 0s, busy 0s, <nil>",
			"offer in 2 items of [second]",
			"begin charge/0 2 items flush 0 of [offer second]",
			"enqueue hold/0 2 items, 2B",
			"end span of charge success in 0s, busy 0s, <nil>",
			"end offer second success in 0s, busy 0s, <nil>",
			"dequeue hold/0 2 items, 2B after 0s",
			"begin hold/0 2 items flush 0 of [offer second]",
			"end span of hold success in 0s, busy 0s, <nil>",
			"begin hold/0 4 items flush 1 of [offer first offer second]",
			"end span of hold success in 0s, busy 0s, <nil>",
			"begin hold/0 4 items flush 2 of [offer first offer second]",
			"begin slow/0 4 items flush 0 of [offer first offer second]",
			"begin out/0 4 items flush 0 of [offer first offer second]",
			"end span of out failure in 0s, busy 0s, faulty",
			"end span of slow refused in 1s, busy 1s, faulty",
			"end span of hold refused in 1s, busy 0s, faulty",
			"begin hold/0 0 items flush 3 of []",
			"end span of hold success in 0s, busy 0s, <nil>",
		}, j.sorted())
	})
}

// sorted returns the lines with what a node does elsewhere put after the end of its sender and of the offer.
func (j *journal) sorted() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	ofOffer := func(line string) bool {
		return strings.HasPrefix(line, "enqueue") || strings.HasPrefix(line, "end offer") || strings.HasPrefix(line, "end span of charge")
	}
	for i := range j.lines {
		for k := i; k > 0 && ofOffer(j.lines[k]) && !ofOffer(j.lines[k-1]) && !strings.HasPrefix(j.lines[k-1], "begin charge"); k-- {
			j.lines[k], j.lines[k-1] = j.lines[k-1], j.lines[k]
		}
	}
	return j.lines
}
