package hnsw

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReplacedByItsEqual: a node that comes while its equal is still there finds neighbours beside it, so that recall stays when
// that goes, round after round, as where memories are observed again unchanged.
func TestReplacedByItsEqual(t *testing.T) {
	const n, rounds, parts = 2000, 4, 10
	c := encode(clusters(rand.New(rand.NewPCG(15, 16)), n+200, 300, 10, 0.5), false)
	first := *c
	first.items = c.items[:n]
	g, b := build(t, &first, Options{}, 40, 500, 2)
	before := recall(t, g, c.vectors[n:], 10, 64)
	for round := range uint32(rounds * parts) {
		part := int(round) % parts
		var gone []Node
		g.Each(func(node Node, slot uint32) bool {
			if int(slot)%n/(n/parts) == part {
				gone = append(gone, node)
			}
			return true
		})
		again := slices.Clone(c.items[part*n/parts : (part+1)*n/parts])
		for i := range again {
			again[i].Slot += (round + 1) * n
		}
		_, err := b.Insert(t.Context(), again, 2)
		require.NoError(t, err)
		b.Remove(gone, 2)
	}
	require.NoError(t, Validate(g))
	assert.Greater(t, recall(t, g, c.vectors[n:], 10, 64), before-0.02)
}
