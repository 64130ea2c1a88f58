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
		"--from 3 --address h:1": "engram watch notes --from 7 --address h:1",
		"--kind forgotten,queue --kind stored --json": "engram watch notes --from 7 --json --kind forgotten,queue,stored",
	} {
		env := &environment{}
		cmd := newWatchCommand(env)
		cmd.Flags().BoolVar(&env.json, "json", false, "")
		require.NoError(t, cmd.ParseFlags(strings.Fields(given)))
		c := watchCommand{space: "notes", again: givenFlags(cmd, "from")}
		assert.Equal(t, want, c.goOn("engram", 7))
	}
}
