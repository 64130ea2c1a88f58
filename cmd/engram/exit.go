package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/client"
)

// The exit codes, the same for every subcommand and printed by `engram help exit-codes`.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitRejected    = 4
	exitInterrupted = 130
)

const exitHelp = `Exit codes:
  0    it worked
  1    it failed; standard error says why
  2    wrong flags, arguments or pipeline
  3    the server cannot be reached: nothing answers there
  4    it ran, but the server rejected some observations
  130  interrupted (SIGINT or SIGTERM) before it was done
`

// exitError carries an exit code with an error; a nil err has been reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// report prints an error once, as a line for people or as {"error", "exit_code"}, and returns its exit code.
func report(err error, asJSON bool, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if e, ok := errors.AsType[*exitError](err); ok && e.err == nil {
		return code
	}
	text := inShell(err)
	if code == exitInterrupted && !strings.HasPrefix(text, "interrupted") {
		text = "interrupted: " + text
	}
	if asJSON {
		p := printer{out: stderr, json: true}
		if p.print(map[string]any{"error": text, "exit_code": code}, nil) == nil {
			return code
		}
	}
	fmt.Fprintf(stderr, "engram: %s\n", legible(text))
	return code
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if errors.Is(err, client.ErrUnreachable) {
		return exitUnreachable
	}
	if e, ok := errors.AsType[*client.Error](err); ok && e.Code == connect.CodeInvalidArgument {
		return exitUsage
	}
	return exitFailed
}

// plain renders an error without the prefix that the client gives its own.
func plain(err error) string { return strings.TrimPrefix(strings.TrimSpace(err.Error()), "engram: ") }
