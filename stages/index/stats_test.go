package index

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

// TestStatsSayWhatIsMergedAndWhatIsNot: of a space with a graph and a small one, through merges and removals.
func TestStatsSayWhatIsMergedAndWhatIsNot(t *testing.T) {
	j := newFakeJournal()
	s := openWith(t, graphed, j)
	process(t, s, j.append(at("small"), durable(), observe("a", 1, 0), observe("b", 0, 1))...)
	feedIDs(t, s, j, 0, vectors(1, 3300))
	c := settled(t, s, "x").coverage.Load()
	got := s.service.Stats()
	assert.Equal(t, uint64(c.through), got.Merged)
	assert.Equal(t, uint64(c.graph.Len()), got.Graphed)
	assert.GreaterOrEqual(t, got.Merges, got.Merged/mergeBatch)
	assert.Positive(t, got.Merging)
	assert.Equal(t, 3300-uint64(c.through), got.Behind, "a small space is never behind")
	assert.Equal(t, got.Behind, got.MostBehind)
	assert.Equal(t, got.Behind+2, got.Scanned)
	assert.Equal(t, [3]int{1, 1, 0}, [3]int{got.GraphedSpaces, got.ScannedSpaces, got.DegradedSpaces})
	for part, bytes := range map[string]uint64{"codes": got.Codes, "graphs": got.Graphs, "records": got.Records, "ids": got.IDs} {
		assert.Positive(t, bytes, part)
	}
	sum := s.service.Held("x")
	sum.Add(s.service.Held("small"))
	assert.Equal(t, got.IndexHeld, sum)
	assert.Zero(t, s.service.Held("none"))

	ops := make([]memory.Op, 1500)
	for i := range ops {
		ops[i] = forget(numbered(i))
	}
	process(t, s, j.append(at("x"), durable(), ops...)...)
	feedIDs(t, s, j, 4000, vectors(2, 1000))
	settled(t, s, "x")
	got = s.service.Stats()
	assert.Positive(t, got.Removed)
	assert.Equal(t, got.Merged-got.Removed, got.Graphed)
	assert.Zero(t, got.FailedMerges+got.Rebuilt)
}

// TestAnUnloadedSpaceHoldsNothing: but what it needs to come back.
func TestAnUnloadedSpaceHoldsNothing(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	feedIDs(t, s, j, 0, vectors(1, 100))
	before := s.service.Stats()
	require.Equal(t, [2]int{1, 0}, [2]int{before.ScannedSpaces, before.UnloadedSpaces})
	require.Zero(t, before.Unloaded)
	unloadNow(t, s, "x")
	got := s.service.Stats()
	require.Equal(t, [2]int{0, 1}, [2]int{got.ScannedSpaces, got.UnloadedSpaces})
	require.Positive(t, got.Unloaded)
	require.Equal(t, memory.IndexHeld{Unloaded: got.Unloaded}, got.IndexHeld)
	require.Equal(t, got.IndexHeld, s.service.Held("x"))
}

func TestAStopwatchCountsWhatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounts(time.Now())
		first := c.waiting.start()
		time.Sleep(time.Second)
		second := c.waiting.start()
		time.Sleep(time.Second)
		require.Equal(t, 3*time.Second, c.read().Waited)
		first()
		time.Sleep(time.Second)
		second()
		time.Sleep(time.Second)
		require.Equal(t, 4*time.Second, c.read().Waited)
	})
}

// BenchmarkStats is a reading of as many spaces as a server may well have.
func BenchmarkStats(b *testing.B) {
	const spaces = 10_000
	ix := newIndex(newFakeJournal(), hasher(1), nil, newMerger(graphed.limits(), 0, &snapshots{}, nil))
	op := observe("a", make([]float32, 8)...)
	steps := []step{{op: &op, version: 1, ordinal: 1}}
	for i := range spaces {
		sp := ix.ensure(fmt.Sprintf("space %d", i), 1)
		if err := sp.w.prepare(func() memory.Space { return memory.Space{Dimension: 8, Metric: memory.Dot} }, steps); err != nil {
			b.Fatal(err)
		}
		if _, err := sp.w.apply(steps); err != nil {
			b.Fatal(err)
		}
		sp.publish()
	}
	b.ReportAllocs()
	for b.Loop() {
		if ix.stats().ScannedSpaces != spaces {
			b.Fatal("not all are there")
		}
	}
}
