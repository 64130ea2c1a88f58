package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

const startTimeout = 30 * time.Second

// server is a running engram process.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	dir     string
	stderr  *lockedBuffer
	exited  chan struct{} // closed once the process has ended
	err     error         // how it ended: read after exited
}

// lockedBuffer is a writer that may be read while the process still writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs `engram serve` on a data folder and waits until it says that it is ready. It is killed when the test ends.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return startAt(t, dir, "127.0.0.1:0", args...)
}

func startAt(t *testing.T, dir, listen string, args ...string) *server {
	t.Helper()
	return startCommand(t, dir, exec.Command(engram, append([]string{"serve", "--json", "--data", dir, "--listen", listen}, args...)...))
}

// startLimited starts a server that cannot write a file beyond so many KiB: what it meets then is as on a full disk.
func startLimited(t *testing.T, dir string, kib int) *server {
	t.Helper()
	return startLimitedAt(t, dir, "127.0.0.1:0", kib)
}

func startLimitedAt(t *testing.T, dir, listen string, kib int) *server {
	t.Helper()
	limited := fmt.Sprintf(`ulimit -f %d; exec "$0" serve --json --data "$1" --listen "$2"`, kib)
	return startCommand(t, dir, exec.Command("bash", "-c", limited, engram, dir, listen))
}

func startCommand(t *testing.T, dir string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, dir: dir, stderr: &lockedBuffer{}, exited: make(chan struct{})}
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(s.kill)
	ready := make(chan error, 1)
	var said struct{ Address string }
	go func() {
		ready <- json.NewDecoder(stdout).Decode(&said)
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	select {
	case err := <-ready:
		require.NoError(t, err, "the server did not start: %s", s.stderr)
	case <-time.After(startTimeout):
		t.Fatalf("the server was not ready in time: %s", s.stderr)
	}
	s.address = said.Address
	return s
}

// kill ends the process as a crash does, and waits for its end.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.exited
}

// stop ends it gracefully and returns how it ended.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.exited
	return s.err
}

func (s *server) client() *client.Client {
	s.t.Helper()
	c, err := client.New(s.address)
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// result is what a finished command left.
type result struct {
	code           int
	stdout, stderr string
}

// command runs the binary to its end.
func command(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, engram, args...)
	cmd.Stdin = bytes.NewBufferString(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		require.NoError(t, err)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// vector is a made-up embedding that differs for every seed; its first component tells the seed.
func vector(seed, dimension int) []float32 {
	v := make([]float32, dimension)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range v {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		v[i] = float32(int64(x>>40)-1<<23) / (1 << 23)
	}
	v[0] = float32(seed) + 1
	return v
}

func itoa(n int) string { return strconv.Itoa(n) }
