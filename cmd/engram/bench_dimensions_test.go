package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBenchDimensions(t *testing.T) {
	r := engram(t, "bench", "dimensions", "--dimensions", "16,32", "--base", "16", "--count", "300", "--query-count", "10", "--runs", "1")
	require.Equal(t, exitOK, r.code, r.stderr)
	assert.Regexp(t, `(?m)^16 .* \(1\.00\) `, r.stdout)
	assert.Contains(t, r.stdout, "in brackets: times what is in proportion to 16 components\n")
}

func TestWhatBenchDimensionsRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"--base 768 is none of --dimensions":        {"dimensions", "--dimensions", "16"},
		"--dimensions 5000 is not within 1 to 4096": {"dimensions", "--dimensions", "5000,768"},
	} {
		r := engram(t, append([]string{"bench"}, args...)...)
		assert.Equal(t, exitUsage, r.code, want)
		assert.Contains(t, r.stderr, want)
	}
}
