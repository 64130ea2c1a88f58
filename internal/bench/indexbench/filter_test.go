package indexbench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

// TestHNSWWithAFilter: each query finds its own rows only, in full, and comparing all is measured beside.
func TestHNSWWithAFilter(t *testing.T) {
	c := HNSWConfig{
		Data: data(t, memory.L2, 1500), K: 10, M: 16, Build: 64, Search: []int{64}, Batches: []int{1000}, Workers: 2, Say: silent,
		Keep: func(query int, row uint32) bool { return int(row)%4 == query%4 },
	}
	r, err := RunHNSW(t.Context(), c)
	require.NoError(t, err)
	assert.InDelta(t, 0.25, r.Kept, 1e-9)
	require.Len(t, r.Builds[0].Searches, 2)
	walked, compared := r.Builds[0].Searches[0], r.Builds[0].Searches[1]
	assert.Equal(t, 10, walked.Fewest)
	assert.GreaterOrEqual(t, walked.Right, 0.9)
	assert.Zero(t, compared.Ef)
	assert.GreaterOrEqual(t, compared.Right, 0.99)
	assert.InDelta(t, 1500, compared.Compared, 1e-9)

	c.Known = make([][]uint32, 20) // what is kept for query 0, of others none
	for q := range c.Known {
		for i := range uint32(10) {
			c.Known[q] = append(c.Known[q], 4*i)
		}
	}
	r, err = RunHNSW(t.Context(), c)
	require.NoError(t, err)
	assert.Greater(t, r.Builds[0].Searches[1].Right, 0.5, "the file's answers are taken")
}
