package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write what the files that are held to the code should say now")

// golden holds a file to what the code says.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run `go test ./cmd/engram -rewrite` if it is meant")
}

// TestGraph: of the built-in pipeline and of one with an edge, names and lanes of its own, in both languages.
func TestGraph(t *testing.T) {
	folder := filepath.Join("testdata", "graph")
	for _, format := range []string{"dot", "mermaid"} {
		r := engram(t, "graph", "--format", format)
		require.Zero(t, r.code, r.stderr)
		golden(t, filepath.Join(folder, "default."+format), r.stdout)
		r = engram(t, "graph", filepath.Join(folder, "own.yaml"), "--format", format)
		require.Zero(t, r.code, r.stderr)
		golden(t, filepath.Join(folder, "own."+format), r.stdout)
	}
	assert.Equal(t, engram(t, "graph", "--format", "dot"), engram(t, "graph"))
	r := engram(t, "graph", "--format", "svg")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.stderr, `--format "svg": give dot or mermaid`)
}

func TestGraphAsJSON(t *testing.T) {
	r := engram(t, "graph", filepath.Join("testdata", "graph", "own.yaml"), "--json")
	require.Zero(t, r.code, r.stderr)
	var report graphReport
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	require.Len(t, report.Nodes, 10)
	assert.Equal(t, nodeJSON{Name: "rpc", Role: "source", Kind: "rpc", Lanes: 1}, report.Nodes[0])
	assert.Equal(t, nodeJSON{
		Name: "index", Role: "stage", Kind: "index", From: []string{"journal"}, Edge: &windowJSON{2048, 64 << 20}, Lanes: 2, Workers: 1,
	}, report.Nodes[7])
}

// TestWhatCannotBeBuiltIsToldAsValidateDoes: in the same words, but beside the output, which is piped into other programs.
func TestWhatCannotBeBuiltIsToldAsValidateDoes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("version: 1\nlisen: x\nbudget: { items: 0 }\n"), 0o600))
	for _, mode := range [][]string{nil, {"--json"}} {
		told := engram(t, append([]string{"validate", bad}, mode...)...)
		require.Equal(t, exitUsage, told.code)
		for _, command := range [][]string{{"graph", bad}, {"config", "print", bad}} {
			r := engram(t, append(command, mode...)...)
			assert.Equal(t, exitUsage, r.code)
			assert.Empty(t, r.stdout)
			assert.Equal(t, told.stdout, r.stderr)
		}
	}
	r := engram(t, "graph", bad+"x")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.stderr, "no such file")
}
