package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
)

// TestTheCountOfMistakesNamesWhereTheyAre: in the words of the lines above it; without a file they are in the settings.
func TestTheCountOfMistakesNamesWhereTheyAre(t *testing.T) {
	var stdout bytes.Buffer
	require.NoError(t, validate(&environment{stdout: &checkedWriter{to: &stdout}}, "testdata/graph/own.yaml"))
	assert.Equal(t, "testdata/graph/own.yaml: ok\n", stdout.String())

	stdout.Reset()
	printDiagnostics(&stdout, pipelinePath("-"), make(config.Diagnostics, 2))
	assert.Contains(t, stdout.String(), "\n/dev/stdin: 2 mistakes\n")

	t.Setenv("ENGRAM_BUDGET_BYTES", "lots")
	r := engram(t, "config", "print")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.stderr, "\nsettings: 1 mistake\n")
	require.NoError(t, os.Unsetenv("ENGRAM_BUDGET_BYTES"))
	r = engram(t, "config", "print", "--listen", "foo")
	assert.Contains(t, r.stderr, "\nsettings: 1 mistake\n")
}
