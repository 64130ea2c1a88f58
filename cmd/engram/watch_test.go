package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheWatchThatGoesOn: the flags as given, less where it began.
func TestTheWatchThatGoesOn(t *testing.T) {
	for given, want := range map[string]string{
		"":                       "engram watch notes --from 7",
		"--from 3 --address h:1": "engram watch notes --address h:1 --from 7",
		"--kind forgotten,queue --kind stored --json": "engram watch notes --json --kind forgotten,queue,stored --from 7",
	} {
		env := &environment{}
		cmd := newWatchCommand(env)
		cmd.Flags().BoolVar(&env.json, "json", false, "")
		require.NoError(t, cmd.ParseFlags(strings.Fields(given)))
		c := watchCommand{space: "notes", again: again(cmd, "engram", []string{"notes"}, "from")}
		assert.Equal(t, want, c.goOn(7))
	}
}
