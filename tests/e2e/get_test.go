package e2e

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// TestGetFromTheShell: it prints what the space holds, says what is missing, and the exit code tells.
func TestGetFromTheShell(t *testing.T) {
	t.Parallel()
	ctx, s := within(t, time.Minute), freshServer(t)
	_, err := s.client().Observe(ctx, "notes", []client.Observation{
		{ID: "tea", Content: "likes\n\x1b[31mgreen tea", Embedding: []float32{0.9, 0.5}, ObservedAt: time.Unix(0, 0), Metadata: map[string]any{"odd": math.NaN()}},
		{ID: "run", Embedding: []float32{1, 0}},
	})
	require.NoError(t, err)

	all := command(t, "", "get", "notes", "run", "tea", "--address", s.address)
	assert.Equal(t, 0, all.code, all.stderr)
	assert.Regexp(t, `^run\n  version     2\n  received    20.*Z\n  confidence  1\n\n`+
		`tea\n  version     1\n  observed    1970-01-01T00:00:00Z\n  received    20.*Z\n  confidence  1\n`+
		`  metadata    {"odd":"NaN"}\n  content     likes\n              \\u001b\[31mgreen tea\n$`, all.stdout)
	vectors := command(t, "", "get", "notes", "tea", "--embedding", "--address", s.address)
	assert.Contains(t, vectors.stdout, "  embedding   [0.9,0.5]\n", vectors.stderr)

	some := command(t, "", "get", "notes", "tea", "nope", "--json", "--embedding", "--address", s.address)
	assert.Equal(t, 1, some.code)
	assert.Contains(t, some.stderr, `"error": "space \"notes\" holds no memory \"nope\"",`)
	var out struct {
		Space    string
		Memories []struct {
			ID         string `json:"memory_id"`
			Content    string
			Metadata   map[string]any
			Embedding  []float32
			ObservedAt time.Time `json:"observed_at"`
			ReceivedAt time.Time `json:"received_at"`
		}
		Missing []string
	}
	require.NoError(t, json.Unmarshal([]byte(some.stdout), &out))
	assert.Equal(t, []string{"nope"}, out.Missing)
	require.Len(t, out.Memories, 1)
	tea := out.Memories[0]
	assert.Equal(t, "tea", tea.ID)
	assert.Equal(t, "likes\n\x1b[31mgreen tea", tea.Content)
	assert.Equal(t, map[string]any{"odd": "NaN"}, tea.Metadata)
	assert.Equal(t, []float32{0.9, 0.5}, tea.Embedding)
	assert.Zero(t, tea.ObservedAt.Unix())
	assert.WithinDuration(t, time.Now(), tea.ReceivedAt, time.Minute)

	words := command(t, "", "get", "notes", "no", "nope", "--address", s.address)
	assert.Equal(t, 1, words.code)
	assert.Equal(t, "engram: space \"notes\" holds no memory \"no\", \"nope\"\n", words.stderr)
	assert.Empty(t, words.stdout)
	recalled := command(t, "", "recall", "notes", "--like", "tea", "--json", "--address", s.address)
	assert.Equal(t, 0, recalled.code, "a NaN in a memory spoils no answer: %s", recalled.stderr)
	assert.Contains(t, recalled.stdout, `"odd": "NaN"`)
}
