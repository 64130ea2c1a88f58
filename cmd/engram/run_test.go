package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"

	"github.com/engram-stream/engram/client"
)

// result is what a run in this process left.
type result struct {
	code           int
	stdout, stderr string
}

func engram(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestAnAnswerThatCannotBeWrittenIsAFailure: of text, of JSON and of a help page.
func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"recall", "--help"}, {"help", "exit-codes"}} {
		var stderr bytes.Buffer
		code := run(context.Background(), args, strings.NewReader(""), fullDisk{}, &stderr)
		assert.Equal(t, exitFailed, code, args)
		assert.Contains(t, stderr.String(), "write standard output: no space left on device", args)
	}
}

// TestExitCodeOfARefusal: a server whose disk is full was reached.
func TestExitCodeOfARefusal(t *testing.T) {
	refused := func(code connect.Code, reason string) error { return &client.Error{Code: code, Reason: reason} }
	assert.Equal(t, exitFailed, exitCode(refused(connect.CodeUnavailable, "STORAGE_UNAVAILABLE")))
	assert.Equal(t, exitFailed, exitCode(refused(connect.CodeResourceExhausted, "QUEUE_FULL")))
	assert.Equal(t, exitUsage, exitCode(refused(connect.CodeInvalidArgument, "INVALID_FIELD")))
	assert.Equal(t, exitInterrupted, exitCode(context.Canceled))
	r := engram(t, "recall", "s", "--vector", "[1]", "--address", "127.0.0.1:1")
	assert.Equal(t, exitUnreachable, r.code, r.stderr)
}

func TestAMisspeltVariableIsAWarning(t *testing.T) {
	t.Setenv("ENGRAM_ADDRESSES", "here")
	r := engram(t, "version")
	assert.Equal(t, exitOK, r.code)
	assert.Equal(t, "engram: warning: the environment variable ENGRAM_ADDRESSES sets nothing; did you mean \"ENGRAM_ADDRESS\"?\n", r.stderr)
	assert.Contains(t, engram(t, "version", "--json").stderr, `{"notice":"warning: the environment variable`)
}
