package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/stages/index/quant"
)

// coded are vectors with their int8 codes, and the frame around them.
type coded struct {
	scheme  *quant.Scheme
	frame   *quant.Frame
	vectors [][]float32
	items   []Item
}

func encode(vectors [][]float32, unit bool) *coded {
	c := &coded{scheme: quant.For(len(vectors[0])), vectors: vectors}
	var r quant.Rotated
	for i, v := range vectors {
		c.scheme.Rotate(&r, v)
		if unit {
			r.Normalize()
		}
		item := Item{Slot: uint32(i), Code: make([]int8, c.scheme.Padded())}
		item.Factors = quant.EncodeInt8(item.Code, &r)
		c.items = append(c.items, item)
	}
	c.frame = c.scheme.NewFrame(min(len(vectors), 4096), func(i int) ([]int8, quant.Int8) {
		return c.items[i].Code, c.items[i].Factors
	})
	return c
}

// clusters makes vectors around centers, as embeddings lie.
func clusters(r *rand.Rand, n, dimension, centers int, width float64) [][]float32 {
	middle := make([][]float64, centers)
	for i := range middle {
		middle[i] = make([]float64, dimension)
		for j := range middle[i] {
			middle[i][j] = r.NormFloat64()
		}
	}
	all := make([][]float32, n)
	for i := range all {
		m := middle[r.IntN(centers)]
		all[i] = make([]float32, dimension)
		for j := range all[i] {
			all[i][j] = float32(m[j] + width*r.NormFloat64())
		}
	}
	return all
}

func recall(t testing.TB, g *Graph, queries [][]float32, k, ef int) float64 {
	var walks, all Searcher
	hits := 0
	for _, v := range queries {
		truth, _ := all.Exact(g, Query{Vector: v, K: k})
		in := map[uint32]bool{}
		for _, f := range truth {
			in[f.Slot] = true
		}
		found, _ := walks.Search(g, Query{Vector: v, K: k, Ef: ef})
		require.Len(t, found, min(k, g.Len()))
		for _, f := range found {
			if in[f.Slot] {
				hits++
			}
		}
	}
	return float64(hits) / float64(len(queries)*k)
}

// build inserts all of c in batches.
func build(t testing.TB, c *coded, o Options, ef, batch, workers int) (*Graph, *Builder) {
	o.Scheme, o.Frame = c.scheme, c.frame
	if o.Measure == 0 {
		o.Measure = Distance
	}
	g := New(o)
	b := NewBuilder(g, ef)
	for from := 0; from < len(c.items); from += batch {
		n, err := b.Insert(t.Context(), c.items[from:min(from+batch, len(c.items))], workers)
		require.NoError(t, err)
		require.Equal(t, min(batch, len(c.items)-from), n)
	}
	return g, b
}

// lists are all the entries of a graph, and what they are of.
func lists(g *Graph) map[[2]int][]uint32 {
	all := map[[2]int][]uint32{}
	st := g.storage.Load()
	for n := range int(g.numbered.Load()) {
		if g.has(st, Node(n)) {
			for level := range int(st.levels[n]) + 1 {
				all[[2]int{int(st.slots[n]), level}] = slices.Clone(st.list(Node(n), level))
			}
		}
	}
	return all
}

// TestTheSameBatchesMakeTheSameGraph: however many workers there are, and whoever searches meanwhile.
func TestTheSameBatchesMakeTheSameGraph(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(1, 2)), 1500, 64, 30, 0.5), false)
	one, _ := build(t, c, Options{}, 40, 500, 1)
	many, _ := build(t, c, Options{}, 40, 500, 7)
	require.NoError(t, Validate(one))
	assert.Equal(t, lists(one), lists(many))
	assert.Equal(t, one.top.Load(), many.top.Load())
}

// TestBatchesAreAsGoodAsSingles: recall is that of inserting one by one, within 0.005.
func TestBatchesAreAsGoodAsSingles(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(3, 4)), 4000, 384, 60, 0.5), false)
	queries := clusters(rand.New(rand.NewPCG(3, 4)), 4300, 384, 60, 0.5)[4000:]
	recalls := map[int]float64{}
	for _, batch := range []int{1, 100, 2000} {
		g, _ := build(t, c, Options{}, 64, batch, 2)
		require.NoError(t, Validate(g))
		recalls[batch] = recall(t, g, queries, 10, 64)
	}
	assert.Greater(t, recalls[1], 0.94)
	assert.InDelta(t, recalls[1], recalls[100], 0.005)
	assert.InDelta(t, recalls[1], recalls[2000], 0.005)
}

// TestWhateverIsInsertedAndRemoved: after every batch the graph is whole, and a search finds what a comparison of all finds.
func TestWhateverIsInsertedAndRemoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		dimension := rapid.SampledFrom([]int{3, 64, 320}).Draw(t, "dimension")
		width := rapid.SampledFrom([]float64{0, 0.01, 0.5, 5}).Draw(t, "width") // 0: there are as many vectors as centers
		inner := rapid.Bool().Draw(t, "inner")
		c := encode(clusters(r, 500, dimension, rapid.IntRange(1, 20).Draw(t, "centers"), width), false)
		o := Options{Scheme: c.scheme, Frame: c.frame, Measure: Distance, Degree: rapid.SampledFrom([]int{8, 32}).Draw(t, "degree")}
		if inner {
			o.Measure = Inner
		}
		g := New(o)
		b := NewBuilder(g, rapid.IntRange(8, 50).Draw(t, "ef"))
		alive := map[uint32]bool{}
		for next := 0; next < len(c.items); {
			n := min(rapid.IntRange(1, 200).Draw(t, "batch"), len(c.items)-next)
			done, err := b.Insert(context.Background(), c.items[next:next+n], rapid.IntRange(1, 3).Draw(t, "workers"))
			require.NoError(t, err)
			require.Equal(t, n, done)
			for _, item := range c.items[next : next+n] {
				alive[item.Slot] = true
			}
			next += n
			require.NoError(t, Validate(g))
			some := rapid.IntRange(0, 100).Draw(t, "removed, percent")
			var gone []Node
			g.Each(func(n Node, slot uint32) bool {
				if r.IntN(100) < some {
					gone = append(gone, n)
					delete(alive, slot)
				}
				return true
			})
			b.Remove(gone, 2)
			require.NoError(t, Validate(g), "after %d of %d were removed", len(gone), len(gone)+len(alive))
			require.Equal(t, len(alive), g.Len())
			found, _ := new(Searcher).Search(g, Query{Vector: c.vectors[r.IntN(next)], K: 20, Ef: 20})
			require.Len(t, found, min(20, len(alive)))
			for _, f := range found {
				require.True(t, alive[f.Slot])
			}
		}
	})
}

// TestEfFollowsDensity: where there is more to tell apart, more of the nearest are kept; and the same batches lead to the same.
func TestEfFollowsDensity(t *testing.T) {
	efs := map[int][]int{}
	for _, dimension := range []int{4, 300} {
		c := encode(clusters(rand.New(rand.NewPCG(3, 4)), 6000, dimension, 1, 1), false)
		for _, workers := range []int{1, 3} {
			g := New(Options{Scheme: c.scheme, Frame: c.frame, Measure: Distance})
			b := NewBuilder(g, 48)
			b.Adapt(16, 300)
			_, err := b.Insert(t.Context(), c.items, workers)
			require.NoError(t, err)
			efs[dimension] = append(efs[dimension], b.Ef())
		}
	}
	assert.Equal(t, efs[4][0], efs[4][1])
	assert.Equal(t, efs[300][0], efs[300][1])
	assert.Less(t, efs[4][0], 48)
	assert.GreaterOrEqual(t, efs[300][0], 60)
}

// TestInnerProducts: those of the largest are found, though the vectors' lengths differ.
func TestInnerProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	vectors := clusters(r, 6000, 96, 60, 0.5)
	for _, v := range vectors {
		scale := float32(0.5 + r.Float64())
		for i := range v {
			v[i] *= scale
		}
	}
	c := encode(vectors, false)
	g, _ := build(t, c, Options{Measure: Inner}, 64, 1000, 2)
	require.NoError(t, Validate(g))
	assert.Greater(t, recall(t, g, vectors[:200], 10, 100), 0.9)
}

// TestNumbersAreUsedAgain: replacing half of the vectors again and again takes no more room, and recall stays.
func TestNumbersAreUsedAgain(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(7, 8)), 8800, 64, 40, 0.5), false)
	first := *c
	first.items = c.items[:2000]
	g, b := build(t, &first, Options{}, 64, 1000, 2)
	before := recall(t, g, c.vectors[:200], 10, 64)
	nodes := map[uint32]Node{}
	for round := range 6 {
		g.Each(func(n Node, slot uint32) bool { nodes[slot] = n; return true })
		var gone []Node
		for slot := range uint32(1000) {
			gone = append(gone, nodes[uint32(round)*1000+slot])
		}
		b.Remove(gone, 2)
		_, err := b.Insert(t.Context(), c.items[2000+1000*round:][:1000], 2)
		require.NoError(t, err)
	}
	require.NoError(t, Validate(g))
	assert.Equal(t, 2000, g.Len())
	assert.LessOrEqual(t, int(g.numbered.Load()), 2000+2000/16+64)
	assert.InDelta(t, before, recall(t, g, c.vectors[7000:7200], 10, 64), 0.02)
}

// TestSearchesWhileItIsWritten: searchers that never wait find what is there before and after, and stay within the graph.
func TestSearchesWhileItIsWritten(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(9, 10)), 4000, 64, 40, 0.5), false)
	g := New(Options{Scheme: c.scheme, Frame: c.frame, Measure: Distance})
	b := NewBuilder(g, 32)
	_, err := b.Insert(t.Context(), c.items[:1000], 2)
	require.NoError(t, err)
	var done atomic.Bool
	var group conc.WaitGroup
	for i := range 3 {
		group.Go(func() {
			var s Searcher
			for at := i; !done.Load(); at++ {
				v := at % 500
				found, _ := s.Search(g, Query{Vector: c.vectors[v], K: 10, Ef: 50})
				assert.Len(t, found, 10)
				assert.Equal(t, uint32(v), found[0].Slot, "what stays is found")
			}
		})
	}
	for round := range 12 {
		if round%3 == 2 {
			var gone []Node
			g.Each(func(n Node, slot uint32) bool {
				if slot >= 500 && slot%5 == uint32(round)%5 {
					gone = append(gone, n)
				}
				return true
			})
			b.Remove(gone, 2)
			assert.NoError(t, Validate(g))
			continue
		}
		_, err := b.Insert(t.Context(), c.items[1000+round*250:][:250], 2)
		assert.NoError(t, err)
		assert.NoError(t, Validate(g))
	}
	done.Store(true)
	group.Wait()
}

// TestAnInsertThatIsBrokenOff: leaves the graph as it was.
func TestAnInsertThatIsBrokenOff(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(11, 12)), 2000, 64, 40, 0.5), false)
	first := *c
	first.items = c.items[:1000]
	g, b := build(t, &first, Options{}, 32, 1000, 1)
	before := lists(g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n, err := b.Insert(ctx, c.items[1000:], 2)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, n)
	require.NoError(t, Validate(g))
	assert.Equal(t, before, lists(g))
	n, err = b.Insert(t.Context(), c.items[1000:], 2)
	require.NoError(t, err)
	require.Equal(t, 1000, n)
	require.NoError(t, Validate(g))
}

// TestWhatIsKeptIsFound: a query that keeps one in a hundred gets as many as it asks for.
func TestWhatIsKeptIsFound(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(13, 14)), 3000, 64, 3, 0.5), false)
	g, _ := build(t, c, Options{}, 32, 1000, 1)
	for _, part := range []uint32{2, 100, 1000, 5000} {
		keep := func(slot uint32) bool { return slot%part == 1 }
		found, _ := new(Searcher).Search(g, Query{Vector: c.vectors[0], K: 10, Ef: 20, Keep: keep})
		truth, _ := new(Searcher).Exact(g, Query{Vector: c.vectors[0], K: 10, Keep: keep})
		require.Len(t, found, len(truth))
		for _, f := range found {
			require.True(t, keep(f.Slot))
		}
	}
}
