package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/client"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const (
	resumeRows = 3000
	badEach    = 97 // every so many rows one has another dimension, and is rejected
)

// rowsFile writes the rows of the tests below, of which some are rejected, and returns the file.
func rowsFile(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for n := range resumeRows {
		vector := fmt.Sprintf("[1,%d,3]", n)
		if n%badEach == badEach-1 {
			vector = "[1,2]"
		}
		fmt.Fprintf(&text, "{\"id\":\"r-%04d\",\"embedding\":%s,\"content\":\"row %d %s\"}\n", n, vector, n, strings.Repeat("x", 200))
	}
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	return file
}

// badRows counts the rows from one on that are rejected.
func badRows(from int) (bad int) {
	for n := from; n < resumeRows; n++ {
		if n%badEach == badEach-1 {
			bad++
		}
	}
	return bad
}

// requireRows demands that the space holds the rows, and nothing else.
func (s *server) requireRows(t *testing.T) {
	t.Helper()
	ctx, c := within(t, time.Minute), s.client()
	spaces, err := c.ListSpaces(ctx)
	require.NoError(t, err)
	require.Len(t, spaces, 1)
	assert.EqualValues(t, resumeRows-badRows(0), spaces[0].Memories)
	const chunk = 500
	for from := 0; from < resumeRows; from += chunk {
		var ids []string
		for n := from; n < from+chunk; n++ {
			ids = append(ids, fmt.Sprintf("r-%04d", n))
		}
		got, err := c.Get(ctx, "notes", ids, client.WithEmbedding{})
		require.NoError(t, err)
		require.Len(t, got.Found, chunk-badRows(from)+badRows(from+chunk))
		for _, m := range got.Found {
			var n int
			_, err := fmt.Sscanf(m.ID, "r-%d", &n)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(m.Content, fmt.Sprintf("row %d ", n)), m.ID)
		}
	}
}

// observed is the report of a run with --json.
type observed struct {
	Skipped        int
	Committed      int
	Rejected       int
	RejectedBefore int `json:"rejected_before"`
}

func report(t *testing.T, r result) observed {
	t.Helper()
	var o observed
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &o), "%s%s", r.stdout, r.stderr)
	return o
}

// brokenOff runs observe until the server takes no more, at a random row, ends both, and starts the server anew.
func brokenOff(t *testing.T, file string, signal os.Signal, args ...string) (s *server, stderr string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	kib := 50 + rand.New(rand.NewPCG(seed, 0)).IntN(500)
	dir, listen := t.TempDir(), freeAddress(t)
	s = startLimitedAt(t, dir, listen, kib)
	o := observeFile(t, file, append([]string{"--address", listen}, args...)...)
	waitUntil(within(t, time.Minute), t, "the disk is full", func() bool { return strings.Contains(o.stderr.String(), "waiting: ") })
	require.NoError(t, o.cmd.Process.Signal(signal))
	code := o.awaitEnd(t)
	if signal == os.Interrupt {
		require.Equal(t, 130, code, o.stderr.String())
	}
	s.kill()
	return startAt(t, dir, listen), o.stderr.String()
}

// TestObserveGoesOn: broken off by Ctrl-C or by a crash, of the server too, the same command goes on behind what is
// committed, at a random row, and sends nothing of that again.
func TestObserveGoesOn(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := rowsFile(t)
			s, _ := brokenOff(t, file, signal)
			kept, err := os.Stat(file + ".engram")
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), kept.Mode())

			r := command(t, "", "observe", "notes", file, "--address", s.address, "--json")
			require.Equal(t, 4, r.code, r.stderr)
			o := report(t, r)
			assert.Positive(t, o.Skipped)
			assert.LessOrEqual(t, o.Skipped, resumeRows, "all of them, when the disk is too full for the session's end alone")
			assert.Equal(t, resumeRows, o.Skipped+o.Committed+o.Rejected)
			assert.Equal(t, badRows(0), o.Rejected+o.RejectedBefore)
			assert.Equal(t, badRows(o.Skipped), o.Rejected)
			s.requireRows(t)
			stats := s.stats()
			assert.EqualValues(t, o.Committed, stats.GetAccepted(), "to this server only what was not committed before was sent")
			assert.Zero(t, stats.GetDuplicate())
			assert.NoFileExists(t, file+".engram")
		})
	}
}

// TestObserveSaysHowToGoOn: the command that it prints is one that a shell takes; the progress is kept where it was told.
func TestObserveSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	file, kept := rowsFile(t), filepath.Join(t.TempDir(), "how far it's.json")
	s, stderr := brokenOff(t, file, os.Interrupt, "--resume", kept)
	m := regexp.MustCompile(`; to go on: (.*)\n`).FindStringSubmatch(stderr)
	require.NotNil(t, m, stderr)
	assert.NoFileExists(t, file+".engram")
	require.FileExists(t, kept)
	out, err := exec.Command("bash", "-c", m[1]).CombinedOutput()
	require.Error(t, err, "some rows are rejected")
	assert.Regexp(t, `going on behind row \d+, see .*how far it's.json`, string(out))
	assert.Regexp(t, `committed to "notes" in .*, behind \d+ rows of a run before`, string(out))
	s.requireRows(t)
	assert.NoFileExists(t, kept)
}

// TestObserveGoesOnWithNothingElse: a changed file and another space are refused in words; --restart begins again.
func TestObserveGoesOnWithNothingElse(t *testing.T) {
	t.Parallel()
	file := rowsFile(t)
	s, _ := brokenOff(t, file, os.Interrupt)
	r := command(t, "", "observe", "others", file, "--address", s.address)
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.stderr, `an earlier run sent it to the space "notes" and was broken off; send it again from its first row with --restart`)

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append([]byte(`{"id":"new","embedding":[1,1,1]}`+"\n"), text...), 0o600))
	r = command(t, "", "observe", "notes", file, "--address", s.address)
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.stderr, "not the file that an earlier run sent a part of: it has")

	r = command(t, "", "observe", "notes", file, "--address", s.address, "--restart", "--json")
	assert.Equal(t, 4, r.code, r.stderr)
	o := report(t, r)
	assert.Zero(t, o.Skipped)
	assert.Equal(t, resumeRows+1, o.Committed+o.Rejected)
	assert.NoFileExists(t, file+".engram")
}

// TestObserveAsksWhenItsSessionIsGone: rows without an id would be stored twice.
func TestObserveAsksWhenItsSessionIsGone(t *testing.T) {
	t.Parallel()
	file := rowsFile(t)
	s, _ := brokenOff(t, file, os.Interrupt)
	sessions, err := s.client().Sessions(within(t, time.Minute), "notes")
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	require.Zero(t, command(t, "", "sessions", "end", sessions[0].ID, "--address", s.address).code)
	stored := 0
	for range 2 { // it asks again
		r := command(t, "", "observe", "notes", file, "--address", s.address)
		require.Equal(t, 1, r.code)
		require.FileExists(t, file+".engram")
		m := regexp.MustCompile(`stored are at least its first (\d+) rows, .* with --restart --skip (\d+) sends what follows`).FindStringSubmatch(r.stderr)
		require.NotNil(t, m, r.stderr)
		require.Equal(t, m[1], m[2])
		stored, err = strconv.Atoi(m[1])
		require.NoError(t, err)
		require.LessOrEqual(t, uint64(stored), sessions[0].Committed)
	}
	r := command(t, "", "observe", "notes", file, "--address", s.address, "--skip", "1")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stderr, "give --restart too")
	r = command(t, "", "observe", "notes", file, "--address", s.address, "--restart", "--skip", strconv.Itoa(stored), "--json")
	require.Equal(t, 4, r.code, r.stderr)
	o := report(t, r)
	assert.Equal(t, stored, o.Skipped)
	assert.Equal(t, resumeRows, o.Skipped+o.Committed+o.Rejected)
	assert.Equal(t, badRows(stored), o.Rejected)
	s.requireRows(t)
	assert.NoFileExists(t, file+".engram")
}

// TestAFileBehindASkipGoesOn: what was passed over is no part of the session, and is still passed over by the next run.
func TestAFileBehindASkipGoesOn(t *testing.T) {
	t.Parallel()
	file := rowsFile(t)
	s, stderr := brokenOff(t, file, os.Interrupt, "--skip", "40")
	assert.Contains(t, stderr, "to go on: ")
	assert.NotContains(t, stderr, "--skip")
	r := command(t, "", "observe", "notes", file, "--address", s.address, "--json")
	require.Equal(t, 4, r.code, r.stderr)
	o := report(t, r)
	assert.Greater(t, o.Skipped, 40)
	assert.Equal(t, resumeRows, o.Skipped+o.Committed+o.Rejected)
	stats := s.stats()
	assert.EqualValues(t, o.Committed, stats.GetAccepted())
	assert.Zero(t, stats.GetDuplicate())
}

// TestOnlyOneOfTwoRunsSaysHowToGoOn: the one that the other took the session from would take it back.
func TestOnlyOneOfTwoRunsSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	const rows = 50_000 // enough that the first is not done when it is stopped
	var text strings.Builder
	for n := range rows {
		fmt.Fprintf(&text, "{\"embedding\":[1,%d]}\n", n)
	}
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	s := freshServer(t)
	first := observeFile(t, file, "--address", s.address)
	waitUntil(within(t, time.Minute), t, "something is sent", func() bool { return s.stats().GetAccepted() > 0 })
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	r := command(t, "", "observe", "notes", file, "--address", s.address)
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	require.Zero(t, r.code, r.stderr)
	assert.Contains(t, r.stderr, "going on behind row")
	assert.Equal(t, 1, first.awaitEnd(t))
	assert.Contains(t, first.stderr.String(), "another program has taken the session over")
	assert.NotContains(t, first.stderr.String(), "to go on")
	assert.NoFileExists(t, file+".engram")
	spaces, err := s.client().ListSpaces(within(t, time.Minute))
	require.NoError(t, err)
	assert.EqualValues(t, rows, spaces[0].Memories)
}

// TestObserveOfABrokenFileLeavesNothing: after its row is mended it is another file.
func TestObserveOfABrokenFileLeavesNothing(t *testing.T) {
	s := freshServer(t)
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(file, []byte("{\"id\":\"a\",\"embedding\":[1]}\nnot json\n"), 0o600))
	r := command(t, "", "observe", "notes", file, "--address", s.address)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "1 observation committed")
	m := regexp.MustCompile(`; mend that row, and go on behind these with: (.*)\)\n`).FindStringSubmatch(r.stderr)
	require.NotNil(t, m, r.stderr)
	assert.NoFileExists(t, file+".engram")
	sessions, err := s.client().Sessions(within(t, time.Minute), "notes")
	require.NoError(t, err)
	assert.Empty(t, sessions)

	require.NoError(t, os.WriteFile(file, []byte("{\"id\":\"a\",\"embedding\":[1]}\n{\"id\":\"b\",\"embedding\":[2]}\n"), 0o600))
	out, err := exec.Command("bash", "-c", m[1]).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "1 observation committed")
	assert.Contains(t, string(out), "behind 1 row of a run before")
}

// TestObserveSkips: rows of standard input that a run before has sent.
func TestObserveSkips(t *testing.T) {
	s := freshServer(t)
	const rows = "{\"id\":\"a\",\"embedding\":[1]}\n{\"id\":\"b\",\"embedding\":[2]}\n\n{\"id\":\"c\",\"embedding\":[3]}\n"
	r := command(t, rows, "observe", "notes", "-", "--address", s.address, "--json", "--skip", "2")
	require.Zero(t, r.code, r.stderr)
	assert.Equal(t, observed{Skipped: 2, Committed: 1}, report(t, r))
	r = command(t, rows, "observe", "notes", "-", "--address", s.address, "--skip", "4")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "stdin: it ends after row 3, and 4 rows were to be passed over")
	for _, args := range [][]string{{rowsFile(t), "--resume", ""}, {"-", "--restart"}, {"-", "--resume", "x"}} {
		r = command(t, rows, append([]string{"observe", "notes", "--address", s.address}, args...)...)
		assert.Equal(t, 2, r.code, r.stderr)
	}
}

// deafTo passes connections on to a server until it has seen a message from a client; then the server gets that, and the
// client nothing any more.
func deafTo(t *testing.T, server string, last []byte) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var deaf atomic.Bool
	pass := func(to, from net.Conn, stop func(piece []byte) bool) {
		defer to.Close()
		piece := make([]byte, 64<<10)
		for {
			n, err := from.Read(piece)
			if err != nil || stop(piece[:n]) {
				return
			}
			_, _ = to.Write(piece[:n])
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil || deaf.Load() {
				_ = c.Close()
				continue
			}
			go pass(s, c, func(piece []byte) bool {
				if bytes.Contains(piece, last) {
					deaf.Store(true)
				}
				return false
			})
			go pass(c, s, func([]byte) bool { return deaf.Load() })
		}
	}()
	return l.Addr().String()
}

// TestTheLastAnswerIsLost: the server has ended the session, and the command does not know. The next run does, and sends
// nothing again.
func TestTheLastAnswerIsLost(t *testing.T) {
	t.Parallel()
	goodbye, err := proto.Marshal(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{EndSession: true}}})
	require.NoError(t, err)
	s := freshServer(t)
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(file, []byte("{\"embedding\":[1,1]}\n{\"embedding\":[1]}\n{\"embedding\":[1,2]}\n"), 0o600))
	r := command(t, "", "observe", "notes", file, "--address", deafTo(t, s.address, goodbye))
	require.NotZero(t, r.code, r.stdout)
	require.Contains(t, r.stderr, "to go on: ")
	require.FileExists(t, file+".engram")

	r = command(t, "", "observe", "notes", file, "--address", freshServer(t).address)
	assert.Equal(t, 1, r.code, "that is not the server that has it")
	assert.Contains(t, r.stderr, "with --restart --skip 3 sends what follows")
	r = command(t, "", "observe", "notes", file, "--address", s.address, "--json")
	assert.Equal(t, 4, r.code, "a row was rejected: %s", r.stderr)
	assert.Equal(t, observed{Skipped: 3, RejectedBefore: 1}, report(t, r))
	assert.NoFileExists(t, file+".engram")
	spaces, err := s.client().ListSpaces(within(t, time.Minute))
	require.NoError(t, err)
	assert.EqualValues(t, 2, spaces[0].Memories)
}

// TestACheckpointThatIsTakenAway: the command says how to go on without it.
func TestACheckpointThatIsTakenAway(t *testing.T) {
	t.Parallel()
	file := rowsFile(t)
	s := startLimitedAt(t, t.TempDir(), freeAddress(t), 100)
	o := observeFile(t, file, "--address", s.address)
	waitUntil(within(t, time.Minute), t, "the disk is full", func() bool { return strings.Contains(o.stderr.String(), "waiting: ") })
	require.NoError(t, os.Remove(file+".engram"))
	require.NoError(t, o.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 130, o.awaitEnd(t), o.stderr.String())
	assert.Regexp(t, `to go on: .* --skip [1-9]\d*\n`, o.stderr.String())
	assert.NoFileExists(t, file+".engram")
}

// TestABadRowBehindWhatIsNotConfirmed: it may be stored, so that the command cannot say to send it again without a word.
func TestABadRowBehindWhatIsNotConfirmed(t *testing.T) {
	t.Parallel()
	s := freshServer(t)
	file := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(file, []byte("{\"content\":\"the first\",\"embedding\":[1,1]}\n{\"content\": oops}\n"), 0o600))
	o := observeFile(t, file, "--address", deafTo(t, s.address, []byte("the first")))
	waitUntil(within(t, time.Minute), t, "it is stored", func() bool { return s.stats().GetAccepted() == 1 })
	require.NoError(t, o.cmd.Process.Signal(os.Interrupt))
	o.awaitEnd(t)
	assert.Regexp(t, `1 more not confirmed; mend that row, and go on behind these with: .* --skip 0; what was not confirmed may be stored`, o.stderr.String())
}
