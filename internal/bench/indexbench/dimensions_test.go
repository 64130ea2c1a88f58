package indexbench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/memory"
)

func TestDimensions(t *testing.T) {
	c := DimensionsConfig{
		Dimensions: []int{16, 32}, Base: 16, Batch: 64, K: 10, Runs: 2, Say: silent,
		Data: func(dimension int) (Data, error) {
			rows, err := vectors.Synthetic(dimension, 620, 1)
			return Data{Name: "synthetic", Rows: rows.Part(0, 600), Queries: rows.Part(600, 620), Metric: memory.Cosine}, err
		},
	}
	r, err := RunDimensions(t.Context(), c)
	require.NoError(t, err)
	require.Len(t, r.Each, 2)
	assert.Equal(t, 16, r.Set.Dimension)
	for _, s := range r.Each {
		assert.Positive(t, s.Costs.Insert)
		assert.Positive(t, s.Costs.Scan)
		assert.GreaterOrEqual(t, s.Scanned, 0.95)
		assert.GreaterOrEqual(t, s.Right, 0.95)
	}
	assert.InDelta(t, 1, r.Each[0].Times.Scan, 1e-9)
	assert.InDelta(t, r.Each[1].Costs.Scan/r.Each[0].Costs.Scan/2, r.Each[1].Times.Scan, 1e-9)
}
