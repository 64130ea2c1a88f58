package hnsw

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFarVectors: those that no estimate is possible for do not stand in the way of the others.
func TestFarVectors(t *testing.T) {
	vectors := clusters(rand.New(rand.NewPCG(25, 26)), 6000, 384, 40, 0.5)
	for i := range 150 { // more than a walk keeps
		for j := range vectors[5000+i] {
			vectors[5000+i][j] *= 1e8
		}
	}
	c := encode(vectors, false)
	g, _ := build(t, c, Options{}, 64, 1000, 2)
	require.NoError(t, Validate(g))
	assert.Greater(t, recall(t, g, vectors[2000:2200], 10, 100), 0.8)
}

// stretched are vectors of which the last n are longer than the others, each by another factor around one.
func stretched(dimension, n int, factor float32) [][]float32 {
	const most = 3000
	r := rand.New(rand.NewPCG(27, 28))
	vectors := clusters(r, most, dimension, 40, 0.5)
	for _, v := range vectors[most-n:] {
		f := factor * (0.5 + r.Float32())
		for j := range v {
			v[j] *= f
		}
	}
	return vectors
}

// nearestFound is the part of queries for which a search finds one that is as near as any.
func nearestFound(t testing.TB, g *Graph, queries [][]float32) float64 {
	t.Helper()
	var walks, all Searcher
	hits := 0
	for _, v := range queries {
		truth, _ := all.Exact(g, Query{Vector: v, K: 1})
		best := truth[0].Distance
		found, _ := walks.Search(g, Query{Vector: v, K: 10, Ef: 64})
		if found[0].Distance <= best {
			hits++
		}
	}
	return float64(hits) / float64(len(queries))
}

// TestFarVectorsAreFound: by their own vectors, however far they are, by few and by more than are known by heart; and the others as
// if there were none of them.
func TestFarVectorsAreFound(t *testing.T) {
	for _, measure := range []Measure{Distance, Inner} {
		for _, dimension := range []int{64, 384} {
			for _, far := range []int{100, mostApart + 500} {
				t.Run(fmt.Sprint(measure, dimension, far), func(t *testing.T) {
					vectors := stretched(dimension, far, 1e8)
					last := vectors[len(vectors)-far:]
					g, b := build(t, encode(vectors, false), Options{Measure: measure}, 48, 1000, 2)
					require.NoError(t, Validate(g))
					least := 1.0
					if far > mostApart {
						least = 0.995
					}
					assert.GreaterOrEqual(t, nearestFound(t, g, last), least)
					assert.Greater(t, recall(t, g, vectors[:100], 10, 100), 0.93)
					o := Options{Scheme: g.scheme, Measure: measure}
					again := restored(t, encode(vectors, false), o, saved(t, b)).Graph()
					assert.Equal(t, g.apartNodes(), again.apartNodes(), "after a restart")
					var gone []Node // half of them, and all that are known
					var left [][]float32
					g.Each(func(n Node, slot uint32) bool {
						switch {
						case int(slot) < len(vectors)-far:
						case len(gone) < far/2+6:
							gone = append(gone, n)
						default:
							left = append(left, vectors[slot])
						}
						return true
					})
					b.Remove(gone, 2)
					require.NoError(t, Validate(g))
					assert.InDelta(t, 1, nearestFound(t, g, left), 0)
				})
			}
		}
	}
}

// TestLongVectorsByInnerProduct: those whose products are the largest though no walk leads to them, which nothing makes as long as.
func TestLongVectorsByInnerProduct(t *testing.T) {
	for _, factor := range []float32{8, 16, 1e5} {
		vectors := stretched(384, 20, factor)
		g, _ := build(t, encode(vectors, false), Options{Measure: Inner}, 48, 1000, 2)
		assert.Greater(t, recall(t, g, vectors[:100], 10, 100), 0.98, "%v times", factor)
	}
}

// TestInnerProductsWithFarVectors: what a far one's product with a query is shows in its place.
func TestInnerProductsWithFarVectors(t *testing.T) {
	vectors := clusters(rand.New(rand.NewPCG(25, 26)), 100, 384, 40, 0.5)
	for j := range vectors[50] {
		vectors[50][j] *= 1e8
	}
	g, _ := build(t, encode(vectors, false), Options{Measure: Inner}, 64, 100, 2)
	var s Searcher
	s.begin(g, Query{Vector: vectors[50], K: 1})
	defer s.end()
	far := Node(0)
	g.Each(func(n Node, slot uint32) bool {
		if slot == 50 {
			far = n
		}
		return slot != 50
	})
	var estimate [1]float32
	s.walker.estimates(estimate[:], []uint32{uint32(far)})
	assert.Less(t, estimate[0], float32(-1e6))
}
