package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// observing is an `engram observe` that reads what the test writes.
type observing struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	stdout lockedBuffer
	stderr lockedBuffer
	exited chan struct{}
}

func observeStdin(t *testing.T, address string, args ...string) *observing {
	t.Helper()
	return observeFile(t, "-", append([]string{"--address", address}, args...)...)
}

func observeFile(t *testing.T, file string, args ...string) *observing {
	t.Helper()
	o := &observing{exited: make(chan struct{})}
	o.cmd = exec.Command(engram, append([]string{"observe", "notes", file}, args...)...)
	o.cmd.Stdout, o.cmd.Stderr = &o.stdout, &o.stderr
	var err error
	o.input, err = o.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, o.cmd.Start())
	go func() {
		defer close(o.exited)
		_ = o.cmd.Wait() // its exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill() // it may have ended already
		<-o.exited
	})
	return o
}

func (o *observing) write(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		_, err := fmt.Fprintf(o.input, "{\"id\":\"n-%d\",\"embedding\":[1,%d]}\n", n, n)
		require.NoError(t, err)
	}
}

func (o *observing) awaitEnd(t *testing.T) int {
	t.Helper()
	select {
	case <-o.exited:
	case <-within(t, time.Minute).Done():
		t.Fatalf("it did not end: %s", o.stderr.String())
	}
	return o.cmd.ProcessState.ExitCode()
}

func (s *server) awaitMemories(t *testing.T, n int) {
	t.Helper()
	ctx, c := within(t, time.Minute), s.client()
	waitUntil(ctx, t, "the rows are stored", func() bool {
		spaces, err := c.ListSpaces(ctx)
		return err == nil && len(spaces) == 1 && spaces[0].Memories == uint64(n)
	})
}

// TestObserveSaysWhyItWaits: the server is killed in the middle, and comes back.
func TestObserveSaysWhyItWaits(t *testing.T) {
	t.Parallel()
	dir, address := t.TempDir(), freeAddress(t)
	s := startAt(t, dir, address)
	o := observeStdin(t, address)
	o.write(t, 0, 100)
	s.awaitMemories(t, 100)
	s.kill()
	o.write(t, 100, 200)
	ctx := within(t, time.Minute)
	waitUntil(ctx, t, "it says why it waits", func() bool { return strings.Contains(o.stderr.String(), "waiting: ") })
	s = startAt(t, dir, address)
	waitUntil(ctx, t, "it says that it goes on", func() bool { return strings.Contains(o.stderr.String(), "going on") })
	require.NoError(t, o.input.Close())
	require.Zero(t, o.awaitEnd(t), o.stderr.String())
	assert.Equal(t, 2, strings.Count(o.stderr.String(), "\n"), "once each: %s", o.stderr.String())
	assert.Contains(t, o.stdout.String(), "200 observations committed")
	s.awaitMemories(t, 200)
}

// TestObserveInterrupted: Ctrl-C ends it though the input does not, with one line that says how far it came; also while
// the server is away.
func TestObserveInterrupted(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	o := observeStdin(t, s.address)
	o.write(t, 0, 50)
	s.awaitMemories(t, 50)
	require.NoError(t, o.cmd.Process.Signal(os.Interrupt))
	assert.Equal(t, 130, o.awaitEnd(t))
	assert.Regexp(t, `^engram: interrupted: 50 observations committed, as the session s\S+; to go on: \S+ observe notes - --address \S+ --skip 50\n$`,
		o.stderr.String())

	o = observeStdin(t, s.address, "--json")
	o.write(t, 0, 50)
	waitUntil(within(t, time.Minute), t, "it is connected", func() bool { return s.stats().GetAccepted() == 100 })
	s.kill()
	waitUntil(within(t, time.Minute), t, "it says why it waits", func() bool {
		return strings.Contains(o.stderr.String(), `{"notice":"waiting: `)
	})
	o.write(t, 50, 60)
	require.NoError(t, o.cmd.Process.Signal(os.Interrupt))
	assert.Equal(t, 130, o.awaitEnd(t))
	assert.Contains(t, o.stderr.String(), `"error": "interrupted: 50 observations committed`)
	assert.NotContains(t, o.stderr.String(), "context canceled")
}

// TestObserveOnAFullDisk: what does not fit holds it up, which is said once, and how far it came at the end.
func TestObserveOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startLimited(t, dir, 200)
	o := observeStdin(t, s.address)
	o.write(t, 0, 10)
	s.awaitMemories(t, 10)
	_, err := fmt.Fprintf(o.input, "{\"embedding\":[1,1],\"content\":%q}\n", strings.Repeat("x", 300<<10))
	require.NoError(t, err)
	waitUntil(within(t, time.Minute), t, "it says why it waits", func() bool {
		return strings.Contains(o.stderr.String(), "waiting: ")
	})
	require.NoError(t, o.cmd.Process.Signal(os.Interrupt))
	assert.Equal(t, 130, o.awaitEnd(t))
	assert.Contains(t, o.stderr.String(), "check the disk's space")
	assert.Contains(t, o.stderr.String(), "interrupted: 10 observations committed")
	assert.Contains(t, o.stderr.String(), "1 more not confirmed")
	assert.Equal(t, 2, strings.Count(o.stderr.String(), "\n"), o.stderr.String())
}

// TestObserveWithoutGRPC: a server that was told to speak Connect only says so, and so does the tool.
func TestObserveWithoutGRPC(t *testing.T) {
	t.Parallel()
	pipeline := filepath.Join(t.TempDir(), "connect.yaml")
	require.NoError(t, os.WriteFile(pipeline, []byte(connectOnly), 0o600))
	s := start(t, t.TempDir(), "--config", pipeline)
	r := command(t, `{"embedding":[1]}`, "observe", "notes", "-", "--address", s.address)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "HTTP 415 Unsupported Media Type")
	assert.Contains(t, r.stderr, "this server does not speak grpc; it speaks connect")
}

const connectOnly = `version: 1
sources: { rpc: { transport: rpc, protocols: [connect] } }
stages:
  decode: { from: rpc }
  sequence: { from: decode }
  admit: { from: sequence }
  coalesce: { from: admit }
  shard: { from: coalesce }
  journal: { from: shard }
  index: { from: journal }
  notify: { from: index }
sinks: { replies: { from: notify, to: origin } }
`

// A run that ends on an error tells what was rejected before, in JSON too.
func TestObserveTellsRejectionsBeforeAnError(t *testing.T) {
	server := freshServer(t)
	o := observeStdin(t, server.address, "--json")
	_, err := io.WriteString(o.input, "{\"id\":\"a\",\"embedding\":[1,2]}\n{\"id\":\"b\",\"embedding\":[1]}\nnot json\n")
	require.NoError(t, err)
	require.NoError(t, o.input.Close())
	require.Equal(t, 1, o.awaitEnd(t))
	var report struct {
		Committed, Rejected int
		Rejections          []struct{ Line int }
	}
	require.NoError(t, json.Unmarshal([]byte(o.stdout.String()), &report), o.stdout.String())
	assert.Equal(t, 1, report.Committed)
	assert.Equal(t, 1, report.Rejected)
	require.Len(t, report.Rejections, 1)
	assert.Equal(t, 2, report.Rejections[0].Line)
	assert.Contains(t, o.stderr.String(), "stdin:3")
}

// TestObserveTakesTexts: one a flag, lines of standard input or of a .txt file, rows of JSONL without a vector; a file that
// is observed again doubles nothing.
func TestObserveTakesTexts(t *testing.T) {
	t.Parallel()
	s := freshServer(t)
	dir := t.TempDir()
	lines, rows := filepath.Join(dir, "more.txt"), filepath.Join(dir, "rows.jsonl")
	require.NoError(t, os.WriteFile(lines, []byte("plays the cello\n\nbakes bread\n"), 0o600))
	require.NoError(t, os.WriteFile(rows, []byte(`{"id":"row","content":"swims in winter"}`+"\n"), 0o600))
	run := func(stdin string, args ...string) string {
		r := command(t, stdin, append(args, "--address", s.address)...)
		require.Equal(t, 0, r.code, r.stderr)
		return r.stdout
	}
	run("", "observe", "diary", "--text", "likes green tea")
	run("", "observe", "diary", lines)
	run("", "observe", "diary", lines)
	run("", "observe", "diary", rows)
	run("reads on paper\nsings\n", "observe", "diary", "--text", "-")
	out := run("", "recall", "diary", "--text", "bread, baking", "--json")
	assert.Contains(t, out, `"embedder": "lexical-v1-512"`)
	assert.Contains(t, out, `"memory_id": "more-00003"`)
	assert.Regexp(t, `diary +512 +cosine +lexical-v1-512 +6 `, run("", "spaces"))
}
