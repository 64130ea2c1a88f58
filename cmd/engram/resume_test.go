package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheCommandThatGoesOn: the flags as given, less those that would begin elsewhere.
func TestTheCommandThatGoesOn(t *testing.T) {
	for given, want := range map[string]string{
		"notes rows.jsonl":                      "engram observe notes rows.jsonl",
		"notes rows.jsonl --restart --json":     "engram observe notes rows.jsonl --json",
		"notes - --skip 3 --address h:1":        "engram observe notes - --address h:1",
		"notes a.npy --resume it's --address=h": `engram observe notes a.npy --address h --resume 'it'\''s'`,
	} {
		f := observeFlags{}
		cmd := newObserveCommand(&environment{stderr: io.Discard})
		cmd.ResetFlags()
		env := &environment{}
		env.addAddress(cmd)
		cmd.Flags().BoolVar(&env.json, "json", false, "")
		f.add(cmd)
		require.NoError(t, cmd.ParseFlags(strings.Fields(given)))
		f.remember(cmd, "engram", cmd.Flags().Args())
		assert.Equal(t, want, strings.Join(f.again, " "))
	}
}
