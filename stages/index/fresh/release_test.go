package fresh

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scanned returns a tier of n random vectors, of which none is dead.
func scanned(n int) *Tier {
	tier, r := New(8, L2), rand.New(rand.NewPCG(1, 2))
	for i := range n {
		tier.Prepare(Entry{Vector: direction(r), Birth: uint64(i) + 1})
	}
	tier.Commit()
	return tier
}

func direction(r *rand.Rand) []float32 {
	v := make([]float32, 8)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// TestAScanFromASlot finds all from there on, and at most a group of lanes before.
func TestAScanFromASlot(t *testing.T) {
	const n = 9000
	tier := scanned(n)
	query := direction(rand.New(rand.NewPCG(3, 4)))
	for _, from := range []int{0, 1, 15, 16, 17, 47, 48, 1007, 1008, 1009, 2000, 4079, 4080, 4081, 5000, 8175, 8176, 8999, 9000} {
		found, compared, err := tier.Scan(context.Background(), Query{Vector: query, Version: n, K: n, From: Slot(from)})
		require.NoError(t, err)
		assert.GreaterOrEqual(t, compared, n-from)
		assert.Less(t, compared, n-from+32)
		slots := map[Slot]bool{}
		for _, c := range found {
			slots[c.Slot] = true
		}
		for s := from; s < n; s++ {
			require.True(t, slots[Slot(s)], "slot %d of a scan from %d", s, from)
		}
	}
}

// TestReleasedCodesAreNotMissed: while the tier grows and what lies below a mark is let go, scans from the mark on that they
// have seen find what they should, and what is known of a slot stays.
func TestReleasedCodesAreNotMissed(t *testing.T) {
	const n, step = 30_000, 500
	tier, r := New(8, L2), rand.New(rand.NewPCG(1, 2))
	all := make([][]float32, n)
	for i := range all {
		all[i] = direction(r)
	}
	var end, mark atomic.Uint32
	var group conc.WaitGroup
	for i := range 2 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			for end.Load() < n {
				from, upTo := mark.Load(), end.Load() // the mark may move on meanwhile: then less is found
				if from == upTo {
					continue
				}
				slot := from + r.Uint32N(upTo-from)
				found, _, err := tier.Scan(context.Background(), Query{Vector: all[slot], Version: uint64(upTo), K: 1, From: Slot(from)})
				assert.NoError(t, err)
				if slot >= mark.Load() {
					assert.True(t, slices.ContainsFunc(found, func(c Candidate) bool { return c.Slot == Slot(slot) }))
				}
				old := Slot(r.Uint32N(upTo))
				assert.Equal(t, uint64(old)+1, tier.Record(old).Birth)
			}
		})
	}
	group.Go(func() {
		for end.Load() < n {
			if to := end.Load() / 2; to > mark.Load() {
				mark.Store(to)
				tier.Release(Slot(to))
			}
		}
	})
	for i, v := range all {
		tier.Prepare(Entry{Vector: v, Birth: uint64(i) + 1})
		if (i+1)%step == 0 {
			tier.Commit()
			end.Store(uint32(i) + 1)
		}
	}
	group.Wait()
	tier.Release(n / 2)
	whole, _ := locate(n / 2)
	for i, b := range tier.directory.Load().blocks {
		assert.Equal(t, i < whole, b.codes == nil, "block %d", i)
	}
}
