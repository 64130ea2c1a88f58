package hnsw

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryChangeIsOneEpoch: removals and inserts begin one each, and numbers wait for the searches that may have seen them.
func TestEveryChangeIsOneEpoch(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(29, 30)), 300, 16, 4, 0.5), false)
	first := *c
	first.items = c.items[:100]
	g, b := build(t, &first, Options{}, 20, 100, 1)
	began := g.epochs.Now()
	reader := g.epochs.Enter()
	b.Remove([]Node{3, 4}, 1)
	require.Equal(t, began+1, g.epochs.Now())
	for from := 100; from < 300; from += 100 {
		_, err := b.Insert(t.Context(), c.items[from:from+100], 1)
		require.NoError(t, err)
		require.Equal(t, began+1, g.epochs.Now(), "the search may have seen what was removed")
		require.Equal(t, 100+from, int(g.numbered.Load()))
	}
	g.epochs.Leave(reader)
	for slot := range uint32(2) {
		item := c.items[0]
		item.Slot = 1000 + slot
		_, err := b.Insert(t.Context(), []Item{item}, 1)
		require.NoError(t, err)
		require.Equal(t, began+2+uint64(slot), g.epochs.Now())
		require.Equal(t, 300, int(g.numbered.Load()))
	}
	require.NoError(t, Validate(g))
}

// TestWhatHoldsMuchStaysWithinItsRoom: what the nodes that hold most hold is removed, again and again.
func TestWhatHoldsMuchStaysWithinItsRoom(t *testing.T) {
	for _, degree := range []int{8, 32} {
		for seed := range uint64(1) {
			r := rand.New(rand.NewPCG(seed, 26))
			c := encode(clusters(r, 3000, 8, 40, 0.5), false)
			g := New(Options{Scheme: c.scheme, Frame: c.frame, Measure: Distance, Degree: degree, Seed: seed})
			b := NewBuilder(g, 20)
			next, most := uint32(0), 0
			for range 25 {
				items := make([]Item, 0, 1000)
				for range 1000 {
					item := c.items[r.IntN(len(c.items))]
					item.Slot = next
					next++
					items = append(items, item)
				}
				_, err := b.Insert(context.Background(), items, 1)
				require.NoError(t, err)
				// the nodes that hold most at a level stay, and most others go
				l := b.linker(0)
				level := r.IntN(2)
				var gone []Node
				stay := map[Node]bool{}
				for h := 40; h > 0 && len(stay) < 60; h-- {
					g.Each(func(n Node, slot uint32) bool {
						if int(l.st.levels[n]) >= level && l.holds(n, level) == h {
							near := false
							for _, e := range l.st.list(n, level) {
								if e != none && e&held != 0 && stay[Node(e&mask)] {
									near = true
								}
							}
							if !near {
								stay[n] = true
							}
						}
						return true
					})
				}
				g.Each(func(n Node, slot uint32) bool {
					if !stay[n] && r.IntN(100) < 97 {
						gone = append(gone, n)
					}
					return true
				})
				b.Remove(gone, 1)
				if err := Validate(g); err != nil { // the law of levels does not hold for what stays here
					require.NotContains(t, err.Error(), "can be reached")
					require.NotContains(t, err.Error(), "list")
				}
				g.Each(func(n Node, slot uint32) bool {
					for lv := range int(l.st.levels[n]) + 1 {
						if h := l.holds(n, lv); h*100/len(l.st.list(n, lv)) > most {
							most = h * 100 / len(l.st.list(n, lv))
						}
					}
					return true
				})
			}
			require.LessOrEqual(t, most, 50, "percent of a list of the tree, degree %d", degree)
		}
	}
}
