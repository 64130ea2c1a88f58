package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/bench/indexbench"
)

func TestBenchHNSWWithAFilter(t *testing.T) {
	args := append([]string{"bench", "hnsw", "--batches", "600", "--ef", "64", "--keep-one-in", "4"}, small...)
	r := engram(t, args...)
	require.Equal(t, exitOK, r.code, r.stderr)
	assert.Regexp(t, `the filter leaves 2\d\.\d\d % of the vectors to a query`, r.stdout)
	assert.Regexp(t, `(?m)^600 +all +[01]\.\d+ +[01]\.\d+ +10 +600 `, r.stdout)

	labels, few := filepath.Join(t.TempDir(), "labels"), filepath.Join(t.TempDir(), "few")
	write := func(file string, n int) {
		header := []byte{0, 0, 8, 1, 0, 0, byte(n >> 8), byte(n)}
		require.NoError(t, os.WriteFile(file, append(header, make([]byte, n)...), 0o600))
	}
	write(labels, 600)
	write(few, 20)
	args = append([]string{"bench", "hnsw", "--batches", "600", "--ef", "64", "--labels", labels, "--query-labels", few, "--json"}, small...)
	r = engram(t, args...)
	require.Equal(t, exitOK, r.code, r.stderr)
	var report indexbench.HNSWReport
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	assert.InDelta(t, 1, report.Kept, 1e-9, "all have one label")
	assert.Len(t, report.Builds[0].Searches, 2)

	r = engram(t, append([]string{"bench", "hnsw", "--labels", few, "--query-labels", few}, small...)...)
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.stderr, "has 20 labels for 600 vectors")
}

func TestWhatBenchHNSWRefusesOfFilters(t *testing.T) {
	for want, args := range map[string][]string{
		"--labels and --query-labels go together":  append([]string{"hnsw", "--labels", "labels"}, small...),
		"give --labels or --keep-one-in, not both": append([]string{"hnsw", "--labels", "labels", "--query-labels", "labels", "--keep-one-in", "2"}, small...),
		"--keep-one-in 0 is not within":            append([]string{"hnsw", "--keep-one-in", "0"}, small...),
	} {
		r := engram(t, append([]string{"bench"}, args...)...)
		assert.Equal(t, exitUsage, r.code, want)
		assert.Contains(t, r.stderr, want)
	}
}
