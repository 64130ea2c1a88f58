package fresh

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLongVectorsAndTheOthers: a few that are far longer than most are found by their own, whether they have estimates or not, and
// the others as if there were none of them.
func TestLongVectorsAndTheOthers(t *testing.T) {
	const dimension, n, k, every = 384, 2 * growingSlots, 10, 199
	for _, factor := range []float32{100, 1e5, 1e8} {
		vectors := latent(dimension, n)
		r := rand.New(rand.NewPCG(15, 16))
		for i := 0; i < n; i += every {
			f := factor * (0.5 + r.Float32())
			for j := range vectors[i] {
				vectors[i][j] *= f
			}
		}
		tier, entries := of(t, L2, vectors)
		hits := 0
		for range 20 {
			of := r.IntN(n/every-1) * every
			own, _, err := tier.Scan(context.Background(), Query{Vector: vectors[of], Version: n, K: 1})
			require.NoError(t, err)
			require.Equal(t, Slot(of), own[0].Slot)
			got, _, err := tier.Scan(context.Background(), Query{Vector: vectors[of+1], Version: n, K: k})
			require.NoError(t, err)
			for _, want := range exactly(L2, entries, vectors[of+1], n, nil)[:k] {
				if slices.ContainsFunc(got, func(c Candidate) bool { return c.Slot == want.Slot }) {
					hits++
				}
			}
		}
		require.Greater(t, hits, 20*k*93/100, "%v times as long", factor)
	}
}
