package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
	"github.com/engram-stream/engram/stages/index/hnsw"
)

const graphDimension = 24

// graphed are settings with small graphs.
var graphed = Config{GraphFrom: 1000, FreshLimit: 100_000, MergeWorkers: 2, Rescore: true}

func openWith(t testing.TB, c Config, j *fakeJournal) *Stage {
	t.Helper()
	s := newStage(c, nil, graph.NewHandle[Journal](j), graph.NewHandle[Limits](roomy), nowhere)
	require.NoError(t, s.Open(context.Background()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// vectors are n of them, in clusters.
func vectors(seed uint64, n int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	var centers [40][graphDimension]float32
	for i := range centers {
		for j := range centers[i] {
			centers[i][j] = float32(r.NormFloat64())
		}
	}
	out := make([][]float32, n)
	for i := range out {
		out[i] = make([]float32, graphDimension)
		c := &centers[r.IntN(len(centers))]
		for j := range out[i] {
			out[i][j] = c[j] + 0.3*float32(r.NormFloat64())
		}
	}
	return out
}

// feed observes vectors under the ids from a number on.
func feedIDs(t testing.TB, s *Stage, j *fakeJournal, from int, all [][]float32) {
	t.Helper()
	for first := 0; first < len(all); first += 250 {
		var ops []memory.Op
		for i, v := range all[first:min(first+250, len(all))] {
			ops = append(ops, observe(numbered(from+first+i), v...))
		}
		process(t, s, j.append(at("x"), durable(), ops...)...)
	}
}

// settled waits until the merger has nothing to do for a space.
func settled(t testing.TB, s *Stage, name string) *merged {
	t.Helper()
	g := s.index.space(name).view.Load().merged
	require.Eventually(t, func() bool {
		return !g.worthwhile(s.merger.limits) && fresh.Slot(g.released.Load()) == g.coverage.Load().through
	}, 2*time.Minute, time.Millisecond)
	return g
}

// found compares recalls with exact ones, and returns what part they find and what part of it came from the graph.
func found(t testing.TB, s *Stage, queries [][]float32) (recall, fromGraph float64) {
	t.Helper()
	const k = 10
	for _, v := range queries {
		exact, err := s.service.Recall(t.Context(), "x", memory.Query{Vector: v, Limit: k, Exact: true})
		require.NoError(t, err)
		got, err := s.service.Recall(t.Context(), "x", memory.Query{Vector: v, Limit: k})
		require.NoError(t, err)
		require.Len(t, got.Hits, k)
		for _, h := range got.Hits {
			if slices.Contains(ids(exact.Hits), h.ID) {
				recall++
			}
			if h.State == memory.Graphed {
				fromGraph++
			}
		}
	}
	all := float64(k * len(queries))
	return recall / all, fromGraph / all
}

// TestASpaceGetsAGraphWhenItIsWorthOne: not before; then recalls find as much as before, most of it in the graph, and the
// codes that the graph has are let go.
func TestASpaceGetsAGraphWhenItIsWorthOne(t *testing.T) {
	for _, metric := range []memory.Metric{memory.Cosine, memory.L2, memory.Dot} {
		t.Run(fmt.Sprint(metric), func(t *testing.T) {
			j := newFakeJournal()
			j.createSpace("x", graphDimension, metric)
			s := openWith(t, graphed, j)
			all := vectors(1, 6_300)
			feedIDs(t, s, j, 0, all[:900])
			require.Nil(t, settled(t, s, "x").coverage.Load().graph)
			feedIDs(t, s, j, 900, all[900:6_000])
			c := settled(t, s, "x").coverage.Load()
			require.NoError(t, hnsw.Validate(c.graph))
			require.Less(t, 6_000-int(c.through), 1000)
			require.Equal(t, int(c.through), c.graph.Len())
			recall, fromGraph := found(t, s, all[6_000:])
			assert.Greater(t, recall, 0.95)
			assert.Greater(t, fromGraph, 0.75)
			result, err := s.service.Recall(t.Context(), "x", memory.Query{Vector: all[0]})
			require.NoError(t, err)
			assert.Equal(t, c.version, result.Graphed)
			feed, err := s.service.Feed("x")
			require.NoError(t, err)
			assert.Equal(t, c.version, feed.Graphed())
		})
	}
}

// TestAMergedSpaceAfterARestart: the graph is made again from the journal.
func TestAMergedSpaceAfterARestart(t *testing.T) {
	j := newFakeJournal()
	feedIDs(t, openWith(t, graphed, j), j, 0, vectors(1, 3000))
	s := openWith(t, graphed, j)
	assert.GreaterOrEqual(t, settled(t, s, "x").coverage.Load().graph.Len(), 2000)
	recall, _ := found(t, s, vectors(1, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
}

// TestChurnStaysSmall: round after round half of the memories are replaced or forgotten; what is dead leaves the graph, its
// numbers are used again, and recall stays.
func TestChurnStaysSmall(t *testing.T) {
	j := newFakeJournal()
	s := openWith(t, graphed, j)
	all := vectors(1, 14_000)
	feedIDs(t, s, j, 0, all[:4000])
	for round := range 5 {
		from := 4000 + 2000*round
		feedIDs(t, s, j, round%2*2000, all[from:from+1000]) // upserts of half of what there is
		var ops []memory.Op
		for i := range 1000 {
			ops = append(ops, forget(numbered(round%2*2000+1000+i)))
		}
		process(t, s, j.append(at("x"), durable(), ops...)...)
		feedIDs(t, s, j, round%2*2000+1000, all[from+1000:from+2000])
		settled(t, s, "x")
	}
	require.Equal(t, uint64(4000), alive(s, "x"))
	g := settled(t, s, "x").coverage.Load().graph
	require.NoError(t, hnsw.Validate(g))
	assert.Less(t, g.Len(), 4000+4000/removeShare+1024)
	recall, _ := found(t, s, all[:200])
	assert.Greater(t, recall, 0.95)
}

// TestRecallsWhileAllIsMerged: while it is taken over by the graph, what has been acked is found by its own vector: always by the
// scan, and by the graph as surely as by any of its kind.
func TestRecallsWhileAllIsMerged(t *testing.T) {
	j := newFakeJournal()
	s := openWith(t, graphed, j)
	all := vectors(1, 8000)
	var acked, asked, missed atomic.Int64
	var done atomic.Bool
	var group conc.WaitGroup
	for i := range 2 {
		group.Go(func() {
			for n := i; !done.Load(); n++ {
				upTo := int(acked.Load())
				if upTo == 0 {
					continue
				}
				at := n * 7919 % upTo
				result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: all[at], Limit: 5})
				if !assert.NoError(t, err) || !assert.Len(t, result.Hits, 5) {
					return
				}
				asked.Add(1)
				if result.Hits[0].ID != numbered(at) {
					missed.Add(1)
					assert.LessOrEqual(t, memory.Version(at), result.Graphed, "a scan misses nothing")
				}
			}
		})
	}
	for from := 0; from < len(all); from += 500 {
		feedIDs(t, s, j, from, all[from:from+500])
		acked.Store(int64(from + 500))
	}
	done.Store(true)
	group.Wait()
	settled(t, s, "x")
	assert.LessOrEqual(t, missed.Load(), asked.Load()/1000+3)
}

// TestWritersWaitForTheGraph: it is never farther behind than the limit.
func TestWritersWaitForTheGraph(t *testing.T) {
	c := graphed
	c.FreshLimit = 1500
	j := newFakeJournal()
	s := openWith(t, c, j)
	for from := 0; from < 6000; from += 500 {
		feedIDs(t, s, j, from, vectors(uint64(from), 500))
		require.LessOrEqual(t, s.index.space("x").view.Load().merged.pending(), 1500)
	}
	s.merger.stop()
	feedIDs(t, s, j, 6000, vectors(1, 2000)) // when nothing merges any more, nothing waits for it
}

// TestAMergeThatFails: the space is rebuilt at the next write, graph and all, and meanwhile everything is found.
func TestAMergeThatFails(t *testing.T) {
	j := newFakeJournal()
	s := openWith(t, graphed, j)
	all := vectors(1, 3300)
	feedIDs(t, s, j, 0, all[:2000])
	g := settled(t, s, "x")
	s.index.space("x").w.merged.builder = nil // as after a bug
	feedIDs(t, s, j, 2000, all[2000:3000])
	require.Eventually(t, g.failed.Load, 10*time.Second, time.Millisecond)
	assert.Equal(t, uint64(1), s.service.Stats().FailedMerges)
	recall, _ := found(t, s, all[3000:])
	assert.Greater(t, recall, 0.95)
	feedIDs(t, s, j, 3000, all[3000:])
	require.NotSame(t, g, settled(t, s, "x"))
	assert.Equal(t, uint64(1), s.service.Stats().Rebuilt)
	assert.GreaterOrEqual(t, settled(t, s, "x").coverage.Load().graph.Len(), 2300)
	recall, _ = found(t, s, all[3000:])
	assert.Greater(t, recall, 0.95)
}
