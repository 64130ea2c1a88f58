package hnsw

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestASearchThatBeganBeforeTheGraphGrew: it may come by nodes whose upper lists lie beyond what it looked up.
func TestASearchThatBeganBeforeTheGraphGrew(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(21, 22)), 6000, 16, 40, 0.5), false)
	g := New(Options{Scheme: c.scheme, Frame: c.frame, Measure: Distance})
	b := NewBuilder(g, 32)
	for from := 0; from < len(c.items); from += 25 {
		var searchers [20]Searcher
		var entries [20]entry
		if from > 0 {
			for i := range searchers {
				entries[i], _ = searchers[i].begin(g, Query{Vector: c.vectors[from+i], K: 1})
			}
		}
		_, err := b.Insert(t.Context(), c.items[from:from+25], 2)
		require.NoError(t, err)
		if from > 0 {
			for i := range searchers {
				s := &searchers[i]
				require.NotPanics(t, func() { s.walker.walk(0, 20, s.walker.approach(entries[i])) }, "%d", from)
				s.end()
			}
		}
	}
}

// TestANodeThatGoesWhileAllAreCompared: what was taken back meanwhile has no slot.
func TestANodeThatGoesWhileAllAreCompared(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(23, 24)), 100, 16, 40, 0.5), false)
	g, _ := build(t, c, Options{}, 32, 100, 1)
	st := g.storage.Load()
	keep := func(slot uint32) bool {
		if slot == 7 {
			atomic.StoreUint32(&st.slots[7], freeSlot) // as abandon does
		}
		return true
	}
	found, _ := new(Searcher).Search(g, Query{Vector: c.vectors[7], K: 100, Ef: 100, Keep: keep})
	for _, f := range found {
		assert.NotEqual(t, freeSlot, f.Slot)
	}
}
