package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConfigPrint: each layer wins over those below it and is named, and what is printed reads back as the same.
func TestConfigPrint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	require.NoError(t, os.WriteFile(file, []byte("version: 1\nlisten: 127.0.0.1:1\ndata: here\nlimits: { streams: 7 }\n"), 0o600))
	t.Setenv("ENGRAM_LISTEN", "127.0.0.1:2")
	t.Setenv("ENGRAM_LIMITS_CALLS", "9")
	r := engram(t, "config", "print", file, "--listen", "127.0.0.1:3")
	require.Zero(t, r.code, r.stderr)
	for _, line := range []string{
		"listen: 127.0.0.1:3 # --listen", "data: here # " + file + ":3:7", "  streams: 7 # " + file + ":4:20",
		"  calls: 9 # ENGRAM_LIMITS_CALLS", "  spaces: 100000\n", "  sequence:\n    from: [decode]\n    gap: nack\n",
	} {
		assert.Contains(t, r.stdout, line)
	}
	again := filepath.Join(t.TempDir(), "again.yaml")
	require.NoError(t, os.WriteFile(again, []byte(r.stdout), 0o600))
	t.Setenv("ENGRAM_LISTEN", "")
	t.Setenv("ENGRAM_LIMITS_CALLS", "")
	assert.Equal(t, withoutComments(r.stdout), withoutComments(engram(t, "config", "print", again).stdout))

	var values struct {
		Limits struct{ Streams int }
		Stages map[string]map[string]any
	}
	r = engram(t, "config", "print", file, "--json")
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &values))
	assert.Equal(t, 7, values.Limits.Streams)
	assert.Equal(t, "shard", values.Stages["journal"]["from"].([]any)[0])

	r = engram(t, "config", "print", "--data", "")
	assert.Equal(t, exitUsage, r.code, "an empty flag is taken at its word")
}

func withoutComments(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " # ")
		kept = append(kept, strings.TrimSpace(line))
	}
	return strings.Join(kept, "\n")
}

func TestConfigSchema(t *testing.T) {
	r := engram(t, "config", "schema")
	require.Zero(t, r.code, r.stderr)
	var schema bytes.Buffer
	require.NoError(t, json.Compact(&schema, []byte(r.stdout)))
	assert.Contains(t, schema.String(), `"$schema":"https://json-schema.org/draft/2020-12/schema"`)
	r = engram(t, "config", "shema")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.stderr, `unknown command "shema"; did you mean "schema"? (see: engram config --help)`)
}
