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

// small are flags of a data set that is measured at once.
var small = []string{"--count", "600", "--dimension", "16", "--query-count", "20"}

func TestBenchIndex(t *testing.T) {
	args := append([]string{"bench", "index", "--runs", "1", "--seconds", "1ms", "--json"}, small...)
	r := engram(t, args...)
	require.Equal(t, exitOK, r.code, r.stderr)
	assert.Empty(t, r.stderr)
	var report indexbench.Report
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	assert.Equal(t, 600, report.Set.Count)
	assert.Greater(t, report.Recall.Right, 0.95)

	r = engram(t, append([]string{"bench", "index", "--runs", "1", "--seconds", "1ms"}, small...)...)
	assert.Contains(t, r.stdout, "recall@10")
	assert.Contains(t, r.stderr, "engram: inserting, run 1 of 1\n")
}

func TestBenchHNSW(t *testing.T) {
	r := engram(t, append([]string{"bench", "hnsw", "--batches", "50,600", "--ef", "64", "--ef-construction", "40"}, small...)...)
	require.Equal(t, exitOK, r.code, r.stderr)
	assert.Contains(t, r.stdout, "M 16, efConstruction 40")
}

// TestBenchRunbook plays a runbook on what bench dataset has written.
func TestBenchRunbook(t *testing.T) {
	folder := t.TempDir()
	base, queries, book := filepath.Join(folder, "base.fvecs"), filepath.Join(folder, "queries.fvecs"), filepath.Join(folder, "book.yaml")
	r := engram(t, append([]string{"bench", "dataset", "--out", base, "--queries-out", queries}, small...)...)
	require.Equal(t, exitOK, r.code, r.stderr)
	assert.Equal(t, "600 vectors of 16 components to "+base+"\n20 queries to "+queries+"\n", r.stdout)

	steps := "mine:\n  1: {operation: insert, start: 0, end: 600}\n  2: {operation: search}\n"
	require.NoError(t, os.WriteFile(book, []byte(steps), 0o600))
	r = engram(t, "bench", "runbook", book, "--dataset", base, "--queries", queries, "--rebuild")
	require.Equal(t, exitOK, r.code, r.stderr)
	assert.Contains(t, r.stdout, "recall@10 1.0000 on average")
	assert.Contains(t, r.stdout, "the last is 1.0000, and of an index of the same vectors built anew 1.0000\n")

	require.NoError(t, os.WriteFile(book, []byte(steps+"  3: {operation: insert, start: 0, end: 7}\n"), 0o600))
	r = engram(t, "bench", "runbook", book, "--dataset", base, "--queries", queries)
	assert.Equal(t, exitUsage, r.code)
	assert.Equal(t, "engram: read runbook: "+book+":4: step 3 inserts 0, which is there\n", r.stderr)
}

func TestWhatBenchRefuses(t *testing.T) {
	folder := t.TempDir()
	short := filepath.Join(folder, "short.fvecs")
	require.NoError(t, os.WriteFile(short, []byte{2, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}, 0o600))
	for want, args := range map[string][]string{
		"--metric \"hamming\": give cosine, dot or l2":                {"index", "--metric", "hamming"},
		"--batch 0 is not within 1 to 10000":                          {"index", "--batch", "0"},
		"--dimension 5000 is not within 1 to 4096":                    {"hnsw", "--dimension", "5000"},
		"--forget 601 is not within 0 to 600":                         append([]string{"index", "--forget", "601"}, small...),
		"--ef 0 is not within 1 to 65536":                             {"hnsw", "--ef", "64,0"},
		"--queries goes with a --dataset of your own":                 {"index", "--queries", short},
		"no such file (check the path":                                {"index", "--dataset", filepath.Join(folder, "none.fvecs")},
		"has 1 vectors, and the last 1000 would be the queries":       {"index", "--dataset", short},
		"give --out, where the vectors go":                            {"dataset"},
		"no such file or directory":                                   {"runbook", filepath.Join(folder, "none.yaml")},
		"unknown command \"indx\"; did you mean \"index\"?":           {"indx"},
		"accepts 1 arg(s), received 0 (usage: engram bench runbook F": {"runbook"},
	} {
		r := engram(t, append([]string{"bench"}, args...)...)
		assert.Equal(t, exitUsage, r.code, want)
		assert.Contains(t, r.stderr, want)
		assert.Empty(t, r.stdout)
	}
}
