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

// equals are n items, every one of which is equal to one of the first different.
func equals(n, dimension, different int) *coded {
	c := encode(clusters(rand.New(rand.NewPCG(17, 18)), n, dimension, 100, 0.5), false)
	for i := range c.items {
		c.items[i].Code, c.items[i].Factors = c.items[i%different].Code, c.items[i%different].Factors
	}
	return c
}

// TestEqualsShareTheirSearchForRoom: what equal vectors have filled is passed once a batch, and not by each that comes after them.
func TestEqualsShareTheirSearchForRoom(t *testing.T) {
	const n, batch = 8192, 1024
	for _, different := range []int{1, 8} {
		c := equals(n, 32, different)
		g, b := build(t, c, Options{}, 40, batch, 2)
		require.NoError(t, Validate(g))
		assert.Less(t, b.passed, n)
		one, _ := build(t, c, Options{}, 40, batch, 1)
		assert.Equal(t, lists(one), lists(g), "by one worker and by two")
	}
}

// TestEqualsTakeTheirTurns: as they replace each other, batch by batch, the search for room that inserts and removals make stays short.
func TestEqualsTakeTheirTurns(t *testing.T) {
	const n, batch, rounds = 4096, 512, 20
	c := equals(n, 32, 1)
	g, b := build(t, c, Options{}, 40, batch, 2)
	before := b.passed
	for round := range rounds {
		again := slices.Clone(c.items[:batch])
		for i := range again {
			again[i].Slot = uint32(n + round*batch + i)
		}
		_, err := b.Insert(t.Context(), again, 2)
		require.NoError(t, err)
		var gone []Node // the oldest: they hold the others
		g.Each(func(node Node, slot uint32) bool {
			if int(slot)/batch == round {
				gone = append(gone, node)
			}
			return true
		})
		b.Remove(gone, 2)
		require.NoError(t, Validate(g))
	}
	assert.Less(t, b.passed-before, rounds*batch)
}

// TestEqualsDoNotRaiseEf: that a walk finds some of many equals and the next one others does not make them dense.
func TestEqualsDoNotRaiseEf(t *testing.T) {
	c := equals(16_384, 32, 16)
	g := New(Options{Scheme: c.scheme, Frame: c.frame, Measure: Distance})
	b := NewBuilder(g, 40)
	b.Adapt(40, 512)
	for from := 0; from < len(c.items); from += 1024 {
		_, err := b.Insert(t.Context(), c.items[from:from+1024], 2)
		require.NoError(t, err)
	}
	assert.Equal(t, 40, b.Ef())
}

// BenchmarkEquals is the last inserts into a graph of 20,000, by batches of 1,024, of vectors that are different, or all equal.
func BenchmarkEquals(b *testing.B) {
	const n, batch = 20_480, 1024
	for _, kind := range []struct {
		name      string
		different int
	}{{"different", n}, {"equal", 1}} {
		b.Run(kind.name, func(b *testing.B) {
			c := equals(n, 32, kind.different)
			first := *c
			first.items = c.items[:n-4*batch]
			for b.Loop() {
				b.StopTimer()
				_, builder := build(b, &first, Options{}, 40, batch, 1)
				b.StartTimer()
				for from := len(first.items); from < n; from += batch {
					_, err := builder.Insert(b.Context(), c.items[from:from+batch], 1)
					require.NoError(b, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4/batch, "ns/insert")
		})
	}
}
