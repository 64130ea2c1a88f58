package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestProgressOverAFile: a share, the size and the rate of bytes, and the rows so far.
func TestProgressOverAFile(t *testing.T) {
	var out bytes.Buffer
	p := newFileProgress(&out, true, 4000, "notes.jsonl")
	p.add(1000)
	assert.Contains(t, out.String(), " 25%")
	assert.Contains(t, out.String(), "(1.0/4.0 kB")
	p.say("a line")
	p.add(4000)
	assert.NotContains(t, out.String(), "100%", "other rows are not done yet")
	p.end(true)
	assert.Contains(t, out.String(), "100%")
	assert.Contains(t, out.String(), "2 observations")
	assert.Contains(t, out.String(), "a line\n")
}

// TestProgressOffATerminal: lines only.
func TestProgressOffATerminal(t *testing.T) {
	var out bytes.Buffer
	p := newFileProgress(&out, false, 4000, "notes.jsonl")
	p.add(1000)
	p.say("a line")
	p.end(true)
	assert.Equal(t, "a line\n", out.String())
}
