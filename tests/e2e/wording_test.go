package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// TestErrorsNameCommandsAndFlags: what a person types, where the server's own words name calls and fields.
func TestErrorsNameCommandsAndFlags(t *testing.T) {
	t.Parallel()
	s := freshServer(t)
	_, err := s.client().Observe(within(t, time.Minute), "faces", []client.Observation{{ID: "a", Embedding: []float32{1, 0}}})
	require.NoError(t, err)
	for want, args := range map[string][]string{
		`get: space "nope": it does not exist (see: engram spaces)`:                              {"get", "nope", "x"},
		`watch: space "nope": it does not exist (see: engram spaces)`:                            {"watch", "nope"},
		`recall: space "nope": it does not exist (see: engram spaces)`:                           {"recall", "nope", "--vector", "[1]"},
		`space "nope": it does not exist (see: engram spaces)`:                                   {"recall", "nope", "--text", "tea"},
		`delete space: space "nope": it does not exist (see: engram spaces)`:                     {"spaces", "delete", "nope", "--yes"},
		`session nope: the session is unknown or has expired (see: engram sessions)`:             {"sessions", "end", "nope"},
		`space "faces" has no embedder: its vectors come from clients (give --vector or --like)`: {"recall", "faces", "--text", "tea"},
	} {
		r := command(t, "", append(args, "--address", s.address)...)
		assert.Equal(t, 1, r.code, args)
		assert.Contains(t, r.stderr, want)
		assert.NotContains(t, r.stderr, "query.text")
		assert.NotContains(t, r.stderr, "List")
	}
}
