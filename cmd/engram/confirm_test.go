package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestOnlyYesIsConsent: also where the input ends without an end of the line; and Ctrl-C is none.
func TestOnlyYesIsConsent(t *testing.T) {
	for given, consent := range map[string]bool{
		"y\n": true, "YES\r\n": true, "yes": true,
		"": false, "\n": false, "n\n": false, "yess\n": false, "no\nyes\n": false,
	} {
		var stderr bytes.Buffer
		e := &environment{stdin: strings.NewReader(given), stderr: &stderr}
		err := e.confirm(t.Context(), "Sure?", "all stays")
		assert.Equal(t, consent, err == nil, "%q: %v", given, err)
		assert.True(t, strings.HasPrefix(stderr.String(), "Sure? [y/N] "))
		if err != nil {
			assert.Equal(t, exitFailed, exitCode(err))
			assert.EqualError(t, err, "not confirmed: all stays")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, writer := io.Pipe()
	defer writer.Close()
	e := &environment{stdin: silent, stderr: io.Discard}
	err := e.confirm(ctx, "Sure?", "all stays")
	assert.Equal(t, exitInterrupted, exitCode(err))
	assert.EqualError(t, err, "interrupted: all stays")
}
