package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// completed is what a shell is told for a line whose last word is begun, and how to treat it.
func completed(t *testing.T, line ...string) (words []string, directive string) {
	t.Helper()
	r := engram(t, append([]string{"__complete"}, line...)...)
	require.Zero(t, r.code, r.stderr)
	all := strings.Split(strings.TrimSpace(r.stdout), "\n")
	for _, line := range all[:len(all)-1] {
		word, _, _ := strings.Cut(line, "\t")
		words = append(words, word)
	}
	return words, all[len(all)-1]
}

const (
	noFiles = ":4"
	files   = ":0"
	byName  = ":8" // only files of these endings
)

func TestCompletion(t *testing.T) {
	t.Setenv(addressVariable, "127.0.0.1:1") // nobody answers there, and nothing is said about it
	for _, c := range []struct {
		line      string
		words     []string
		directive string
	}{
		{"obs", []string{"observe"}, noFiles},
		{"config |", []string{"print", "schema"}, noFiles},
		{"graph --fo", []string{"--format"}, noFiles},
		{"graph --format |", []string{"dot", "mermaid"}, noFiles},
		{"watch notes --kind |", []string{"stored", "forgotten", "queue", "graphed"}, noFiles},
		{"serve --log-level |", []string{"debug", "info", "warn", "error"}, noFiles},
		{"serve --config |", []string{"yaml", "yml"}, byName},
		{"serve |", nil, noFiles},
		{"observe |", nil, noFiles},
		{"observe notes |", nil, files},
		{"observe notes rows.jsonl |", nil, noFiles},
		{"validate |", nil, files},
		{"graph |", nil, files},
	} {
		line := strings.Fields(c.line)
		if last := len(line) - 1; line[last] == "|" {
			line[last] = ""
		}
		words, directive := completed(t, line...)
		assert.Equal(t, c.words, words, c.line)
		assert.Equal(t, c.directive, directive, c.line)
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := engram(t, "completion", shell)
		require.Zero(t, r.code, r.stderr)
		assert.Contains(t, r.stdout, "__complete", shell)
		assert.Contains(t, engram(t, "help", "completion").stdout, "engram completion "+shell)
	}
}

// TestCompletionOfAnUnknownShell: it says so, and has nothing on standard output, which a shell would run.
func TestCompletionOfAnUnknownShell(t *testing.T) {
	r := engram(t, "completion", "tcsh")
	assert.Equal(t, exitUsage, r.code)
	assert.Empty(t, r.stdout)
	assert.Contains(t, r.stderr, `unknown command "tcsh"; did you mean "bash" or "fish" or "zsh"? (see: engram completion --help)`)
}
