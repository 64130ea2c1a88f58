package e2e

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// aged stores memories of the space "notes": each so many days old, by its id.
func (s *server) aged(ctx context.Context, days map[string]int) {
	s.t.Helper()
	for id, old := range days {
		_, err := s.client().Observe(ctx, "notes", []client.Observation{{
			ID: id, Content: "of " + id, Embedding: []float32{1, 0.5}, ObservedAt: time.Now().AddDate(0, 0, -old),
		}})
		require.NoError(s.t, err)
	}
}

func (s *server) ids(ctx context.Context) []string {
	s.t.Helper()
	ids := []string{}
	for m, err := range s.client().List(ctx, "notes") {
		require.NoError(s.t, err)
		ids = append(ids, m.ID)
	}
	return ids
}

// TestForgetFromTheShell: by id, by age, by both, and as a dry run; without a terminal age alone needs --yes.
func TestForgetFromTheShell(t *testing.T) {
	t.Parallel()
	ctx, s := within(t, time.Minute), freshServer(t)
	s.aged(ctx, map[string]int{"a": 50, "b": 40, "c": 20, "d": 10, "e": 0})
	forget := func(args ...string) result {
		return command(t, "y\n", append([]string{"forget", "notes", "--address", s.address}, args...)...)
	}
	for _, step := range []struct {
		args []string
		says string
		left string
	}{
		{[]string{"a", "c", "nope", "--dry-run"}, "would forget 2 memories", "abcde"},
		{[]string{"--before", "30d", "--dry-run"}, "would forget 2 memories", "abcde"},
		{[]string{"a", "c", "--before", "720h", "--dry-run"}, "would forget 1 memory", "abcde"},
		{[]string{"a", "c", "--before", "720h"}, "forgot 1 memory", "bcde"},
		{[]string{"c", "nope"}, "forgot 1 memory", "bde"},
		{[]string{"--before", "100d", "--yes"}, "forgot 0 memories", "bde"},
		{[]string{"--before", time.Now().AddDate(0, 0, -5).Format(time.RFC3339), "--yes"}, "forgot 2 memories", "e"},
	} {
		r := forget(step.args...)
		assert.Equal(t, 0, r.code, r.stderr)
		assert.Equal(t, step.says+" of \"notes\"\n", r.stdout, step.args)
		assert.ElementsMatch(t, strings.Split(step.left, ""), s.ids(ctx), step.args)
	}
	refused := forget("--before", "2100-01-01T00:00:00Z")
	assert.Equal(t, 2, refused.code, "a y from a pipe is no consent")
	assert.Contains(t, refused.stderr, "give --yes, or --dry-run")
	assert.Equal(t, []string{"e"}, s.ids(ctx))

	done := forget("--before", "2100-01-01T00:00:00Z", "--yes", "--json")
	assert.JSONEq(t, `{"space":"notes","matched":1,"dry_run":false,"observed_before":"2100-01-01T00:00:00Z","commit_version":10}`, done.stdout, done.stderr)
	assert.Empty(t, s.ids(ctx))
	counted := forget("e", "--dry-run", "--json")
	assert.JSONEq(t, `{"space":"notes","matched":0,"dry_run":true}`, counted.stdout, counted.stderr)

	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a time that is none": {[]string{"forget", "notes", "e", "--before", "0001-01-01T00:00:00Z", "--address", s.address}, 2, "observed_before"},
		"too many ids":        {append([]string{"get", "notes", "--address", s.address}, strings.Split(strings.Repeat("x ", 1000)+"x", " ")...), 2, "1000"},
		"no such space":       {[]string{"forget", "birds", "e", "--address", s.address}, 1, "birds"},
		"get, no such space":  {[]string{"get", "birds", "e", "--address", s.address}, 1, "birds"},
		"no server":           {[]string{"forget", "notes", "e", "--address", freeAddress(t)}, 3, "engram serve"},
		"get, no server":      {[]string{"get", "notes", "e", "--json", "--address", freeAddress(t)}, 3, `"exit_code": 3`},
	} {
		r := command(t, "", c.args...)
		assert.Equal(t, c.code, r.code, "%s: %s", name, r.stderr)
		assert.Contains(t, r.stderr, c.says, name)
	}
}

// onTerminal runs the binary on a terminal of its own, types once it is asked, and returns its exit code and what the
// terminal has shown. Nothing to type: it is not to ask.
func onTerminal(t *testing.T, typed string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(engram, args...)
	terminal, err := pty.Start(cmd)
	require.NoError(t, err)
	exited := make(chan struct{})
	var shown lockedBuffer
	go func() {
		defer close(exited)
		_, _ = io.Copy(&shown, terminal) // ends with an error once the process has closed its side
		_ = cmd.Wait()                   // its exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-exited
		terminal.Close()
	})
	ctx := within(t, time.Minute)
	if typed != "" {
		waitUntil(ctx, t, "it asks", func() bool { return strings.Contains(shown.String(), "[y/N] ") })
		_, err = io.WriteString(terminal, typed)
		require.NoError(t, err)
	}
	select {
	case <-exited:
	case <-ctx.Done():
		t.Fatalf("it did not end: %s", shown.String())
	}
	return cmd.ProcessState.ExitCode(), shown.String()
}

// TestForgetByAgeAsks: on a terminal, with the number that it is about; only yes is consent, and Ctrl-C ends the question.
func TestForgetByAgeAsks(t *testing.T) {
	t.Parallel()
	ctx, s := within(t, time.Minute), freshServer(t)
	s.aged(ctx, map[string]int{"a": 50, "b": 40, "c": 20, "d": 0})
	const ctrlC, ctrlD = "\x03", "\x04"
	age := []string{"forget", "notes", "--before", "30d", "--address", s.address}
	for typed, want := range map[string]struct {
		code int
		says string
	}{
		"n\n": {1, "engram: not confirmed: nothing was forgotten\r\n"},
		"\n":  {1, "engram: not confirmed: nothing was forgotten\r\n"},
		ctrlD: {1, "\r\nengram: not confirmed: nothing was forgotten\r\n"},
		ctrlC: {130, "\r\nengram: interrupted: nothing was forgotten\r\n"},
	} {
		code, shown := onTerminal(t, typed, age...)
		assert.Equal(t, want.code, code, shown)
		assert.Regexp(t, `^Forget 2 memories of "notes" from before 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\? \[y/N\] `, shown)
		assert.True(t, strings.HasSuffix(shown, want.says), "%q", shown)
		assert.Len(t, s.ids(ctx), 4)
	}
	code, shown := onTerminal(t, "", append(age, "--json")...)
	assert.Equal(t, 2, code, "a program does not answer: %s", shown)
	code, shown = onTerminal(t, "", "forget", "notes", "a", "--before", "30d", "--address", s.address)
	assert.Equal(t, 0, code, shown)
	assert.Equal(t, "forgot 1 memory of \"notes\"\r\n", shown, "who names ids is not asked")
	code, shown = onTerminal(t, "y\n", age...)
	assert.Equal(t, 0, code, shown)
	assert.True(t, strings.HasSuffix(shown, "forgot 1 memory of \"notes\"\r\n"), "%q", shown)
	assert.ElementsMatch(t, []string{"c", "d"}, s.ids(ctx))
	code, shown = onTerminal(t, "", age...)
	assert.Equal(t, 0, code, shown)
	assert.Equal(t, "forgot 0 memories of \"notes\"\r\n", shown, "there is nothing to ask about")
}
