package hnsw

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func saved(t require.TestingT, b *Builder) []byte {
	var to bytes.Buffer
	require.NoError(t, b.Save(&to))
	return to.Bytes()
}

// restored gives a saved graph the codes of all that c has.
func restored(t require.TestingT, c *coded, o Options, from []byte) *Builder {
	r, err := Restore(bytes.NewReader(from), o)
	require.NoError(t, err)
	for _, item := range c.items {
		r.Put(item.Slot, item.Code, item.Factors)
	}
	b, err := r.Finish()
	require.NoError(t, err)
	return b
}

// TestASavedGraphGoesOnAsItWas: whatever was inserted and removed, the graph that is restored has the same lists, finds the same,
// and becomes the same by what comes after.
func TestASavedGraphGoesOnAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		c := encode(clusters(r, 600, rapid.SampledFrom([]int{3, 320}).Draw(t, "dimension"), 7, 0.5), false)
		o := Options{Scheme: c.scheme, Frame: c.frame, Measure: rapid.SampledFrom([]Measure{Distance, Inner}).Draw(t, "measure"), Degree: 8}
		b := NewBuilder(New(o), 20)
		change := func(b *Builder, from, through, every int) {
			_, err := b.Insert(context.Background(), c.items[from:through], 2)
			require.NoError(t, err)
			var gone []Node
			b.Graph().Each(func(n Node, slot uint32) bool {
				if every > 0 && int(slot)%every == 0 {
					gone = append(gone, n)
				}
				return true
			})
			b.Remove(gone, 1)
		}
		some := rapid.IntRange(0, 400).Draw(t, "inserted")
		change(b, 0, some, rapid.IntRange(0, 5).Draw(t, "every"))
		change(b, some, some+rapid.IntRange(0, 50).Draw(t, "more"), 0)
		next := some + 50
		o.Frame = nil // it is in what was saved
		again := restored(t, c, o, saved(t, b))
		same := func() {
			require.NoError(t, Validate(again.Graph()))
			require.Equal(t, lists(b.Graph()), lists(again.Graph()))
			require.Equal(t, b.Graph().Len(), again.Graph().Len())
			q := Query{Vector: c.vectors[r.IntN(len(c.vectors))], K: 10, Ef: 20}
			want, _ := new(Searcher).Search(b.Graph(), q)
			got, _ := new(Searcher).Search(again.Graph(), q)
			require.Equal(t, want, got)
		}
		same()
		for _, b := range []*Builder{b, again} {
			change(b, next, len(c.items), 3)
		}
		same()
		require.Equal(t, saved(t, b), saved(t, again))
	})
}

// TestWhatIsNoGraphIsRefused: bytes that are missing or wrong give an error, or a graph that can be walked.
func TestWhatIsNoGraphIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := encode(clusters(r, 120, 70, 4, 0.5), false)
	o := Options{Measure: Distance, Degree: 8}
	_, b := build(t, c, o, 20, 60, 1)
	whole := saved(t, b)
	o.Scheme = c.scheme
	some := []int{len(whole) - 1} // the head and the centroid, and bytes of nodes
	for i := range 64 + 4*c.scheme.Padded() {
		some = append(some, i)
	}
	for range 300 {
		some = append(some, r.IntN(len(whole)))
	}
	walked := 0
	for _, i := range some {
		_, err := Restore(bytes.NewReader(whole[:i]), o)
		require.Error(t, err, "%d of %d bytes", i, len(whole))
		wrong := bytes.Clone(whole)
		wrong[i] ^= byte(1 + r.IntN(255))
		s, err := Restore(bytes.NewReader(wrong), o)
		if err != nil {
			continue
		}
		for n, at := range s.order { // as the slots came to be
			item := c.items[n%len(c.items)]
			s.Put(s.st.slots[at], item.Code, item.Factors)
		}
		b, err := s.Finish()
		if err != nil {
			continue
		}
		walked++
		new(Searcher).Search(b.Graph(), Query{Vector: c.vectors[0], K: 10, Ef: 20})
	}
	require.Positive(t, walked, "some damage can be walked, as where a distance is another")
	for _, other := range []Options{{Measure: Inner, Degree: 8}, {Measure: Distance}, {Measure: Distance, Degree: 8, Unit: true}} {
		other.Scheme = c.scheme
		_, err := Restore(bytes.NewReader(whole), other)
		require.Error(t, err)
	}
}

// TestASavedGraphNeedsAllItsCodes: one without a vector is none.
func TestASavedGraphNeedsAllItsCodes(t *testing.T) {
	c := encode(clusters(rand.New(rand.NewPCG(1, 2)), 50, 70, 4, 0.5), false)
	_, b := build(t, c, Options{}, 20, 50, 1)
	s, err := Restore(bytes.NewReader(saved(t, b)), Options{Scheme: c.scheme, Measure: Distance})
	require.NoError(t, err)
	for _, item := range c.items[:49] {
		s.Put(item.Slot, item.Code, item.Factors)
	}
	_, err = s.Finish()
	require.ErrorContains(t, err, "1 of 50 nodes")
	require.Panics(t, func() { s.Put(77, c.items[0].Code, c.items[0].Factors) })
}
