package hnsw

import (
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
