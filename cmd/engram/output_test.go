package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// TestStoredTextIsNoOrderToTheTerminal: what people read has no control characters, also of those above ASCII; JSON has
// its own way to write them.
func TestStoredTextIsNoOrderToTheTerminal(t *testing.T) {
	const stored = "a\x1b[2J\rb\u009bc\x7f\n\té🫖"
	var text, machine strings.Builder
	human := func(w io.Writer) { fmt.Fprint(w, stored) }
	require.NoError(t, (&printer{out: &text}).print(nil, human))
	assert.Equal(t, `a\u001b[2J\u000db\u009bc\u007f`+"\n\té🫖", text.String())
	require.NoError(t, (&printer{out: &machine, json: true}).print(stored, human))
	var back string
	require.NoError(t, json.Unmarshal([]byte(machine.String()), &back))
	assert.Equal(t, stored, back)
}

// TestWhatAServerSaysIsNoOrderToTheTerminal: an error's text may be an endpoint's.
func TestWhatAServerSaysIsNoOrderToTheTerminal(t *testing.T) {
	var stderr strings.Builder
	report(&client.Error{Op: "recall", Message: "bad key \x1b[31m"}, false, &stderr)
	assert.Equal(t, `engram: recall: bad key \u001b[31m`+"\n", stderr.String())
	assert.Equal(t, `engram: waiting: bad key \u001b[31m`, (&environment{}).notice("waiting: bad key \x1b[31m"))
}

// TestATableOfOddTextIsAligned: a column is as wide as what is printed in it.
func TestATableOfOddTextIsAligned(t *testing.T) {
	var text strings.Builder
	require.NoError(t, (&printer{out: &text}).print(nil, func(w io.Writer) {
		table(w, []string{"CONTENT", "METADATA"}, [][]string{{"a\x07\x1b[31mred", "x"}, {"plain", "y"}})
	}))
	lines := strings.Split(text.String(), "\n")
	assert.Equal(t, `a\u0007\u001b[31mred  x`, lines[1])
	assert.Equal(t, strings.Index(lines[1], "x"), strings.Index(lines[2], "y"))
	assert.Equal(t, strings.Index(lines[1], "x"), strings.Index(lines[0], "METADATA"))
}

// TestAMemoryInFull: its lines stay apart from the fields, and numbers that JSON does not have get their names.
func TestAMemoryInFull(t *testing.T) {
	at := time.Date(2026, 1, 31, 1, 0, 0, 5e8, time.FixedZone("", 3600))
	stored := client.Memory{
		ID: "tea", Content: "likes\ngreen <tea>", Version: 7, Confidence: 0.1, ObservedAt: at, ReceivedAt: at.Add(time.Hour),
		Metadata:  map[string]any{"a": math.NaN(), "b": math.Inf(-1), "c": math.Inf(1), "d": "<x>", "e": int64(1 << 60), "f": 0.5},
		Embedding: []float32{0.1, -2},
	}
	m := newMemoryJSON(&stored)
	var text strings.Builder
	m.write(&text)
	assert.Equal(t, `tea
  version     7
  observed    2026-01-31T00:00:00.5Z
  received    2026-01-31T01:00:00.5Z
  confidence  0.1
  metadata    {"a":"NaN","b":"-Infinity","c":"Infinity","d":"<x>","e":1152921504606846976,"f":0.5}
  embedding   [0.1,-2]
  content     likes
              green <tea>
`, text.String())
	_, err := json.Marshal(m)
	require.NoError(t, err)
	assert.True(t, math.IsNaN(stored.Metadata["a"].(float64)), "the memory is its owner's")

	bare := newMemoryJSON(&client.Memory{ID: "r\nun", ReceivedAt: at})
	text.Reset()
	bare.write(&text)
	assert.Equal(t, `r\u000aun`+"\n  version     0\n  received    2026-01-31T00:00:00.5Z\n  confidence  0\n", text.String())
	b, err := json.Marshal(bare)
	require.NoError(t, err)
	assert.JSONEq(t, `{"memory_id":"r\nun","version":0,"confidence":0,"received_at":"2026-01-31T01:00:00.5+01:00","content":""}`, string(b))
}

// TestMissingMemoriesAreNamed: the first of many.
func TestMissingMemoriesAreNamed(t *testing.T) {
	require.NoError(t, noSuchMemory("s", nil))
	require.EqualError(t, noSuchMemory("s", []string{"a", "b"}), `space "s" holds no memory "a", "b"`)
	assert.EqualError(t, noSuchMemory("s", strings.Split("abcdefghijkl", "")),
		`space "s" holds no memory "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" and 2 more`)
}
