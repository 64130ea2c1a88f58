package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxAnswer bounds the bytes of an answer to confirm.
const maxAnswer = 1 << 10

// canConfirm reports whether somebody is there who reads a question and can answer it.
func (e *environment) canConfirm() bool {
	return !e.json && isTerminal(e.stdin) && isTerminal(e.stderr)
}

// confirm asks, and fails unless the answer is y or yes. otherwise says what that means.
func (e *environment) confirm(ctx context.Context, question, otherwise string) error {
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	// Not joined: reading from a terminal cannot be broken off, and must not hold up the end. It ends with the line, or with
	// the process.
	go func() {
		line, _ := bufio.NewReader(io.LimitReader(e.stdin, maxAnswer)).ReadString('\n') // without an end it is an answer too
		answer <- line
	}()
	select {
	case line := <-answer:
		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(e.stderr)
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return errors.New("not confirmed: " + otherwise)
	case <-ctx.Done():
		fmt.Fprintln(e.stderr)
		return &exitError{code: exitInterrupted, err: errors.New("interrupted: " + otherwise)}
	}
}
