package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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
