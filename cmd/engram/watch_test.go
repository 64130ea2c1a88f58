package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// TestAWatchThatIsBrokenOffBeforeItBegins: it says that, and of no fault.
func TestAWatchThatIsBrokenOffBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	assert.Equal(t, exitInterrupted, run(ctx, []string{"watch", "notes"}, strings.NewReader(""), io.Discard, &stderr))
	assert.Equal(t, "engram: interrupted before the watch began\n", stderr.String())
}

func TestANoticeIsOneLine(t *testing.T) {
	n := client.Notice{Kind: client.NoticeStored, IDs: []string{"a\x1b[2J", "b\n\u202ec"}}
	assert.Contains(t, noticeLine("notes", n), `a\u001b[2J, b\u000a\u202ec`)
}

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
