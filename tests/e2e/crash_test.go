package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

const (
	crashes        = 10
	crashDimension = 48
	crashTimeout   = 4 * time.Minute
)

// writer streams numbered observations through one session until it is told to stop.
type writer struct {
	session *client.Session
	stop    atomic.Bool
	sent    atomic.Int64
	done    chan error

	atConnect atomic.Pointer[client.SessionStats] // when the newest stream began
}

func crashObservation(n int) client.Observation {
	return client.Observation{
		ID: crashID(n), Content: fmt.Sprintf("content of %d", n), Embedding: vector(n, crashDimension),
		Metadata: map[string]any{"n": n, "odd": n%2 == 1},
	}
}

func crashID(n int) string { return fmt.Sprintf("m-%07d", n) }

// openWriter opens a session that writes from now on.
func openWriter(ctx context.Context, t *testing.T, c *client.Client) *writer {
	t.Helper()
	w := &writer{done: make(chan error, 1)}
	opened := make(chan struct{})
	session, err := c.Open(ctx, "crash", client.SessionOptions{BufferItems: 512, OnEvent: func(e client.Event) {
		select {
		case <-opened:
		default:
			return
		}
		if e.Kind == client.EventConnected { // before anything is sent to this server
			w.atConnect.Store(new(w.session.Stats()))
		}
	}})
	require.NoError(t, err)
	w.session = session
	close(opened)
	go func() {
		for n := 0; !w.stop.Load(); n++ {
			if _, err := session.Observe(ctx, crashObservation(n)); err != nil {
				w.done <- fmt.Errorf("observe %d: %w", n, err)
				return
			}
			w.sent.Add(1)
		}
		w.done <- session.Flush(ctx)
	}()
	return w
}

// requireCounts demands that both ends count alike, after everything is settled. The journal's count goes over all
// servers that were killed, as the client's does; the verdicts begin with the server that runs, whose stream began when
// the client connected last.
func (w *writer) requireCounts(ctx context.Context, t *testing.T, c *client.Client) {
	t.Helper()
	mine, then := w.session.Stats(), w.atConnect.Load()
	server, err := c.Stats(ctx, "")
	require.NoError(t, err)
	assert.Equal(t, server.Committed, mine.Committed, "stored, over all servers")
	assert.Equal(t, mine.Sent, mine.Committed+mine.Rejected+mine.Nacked+mine.Lost, "each sending has one end: %+v", mine)
	assert.Zero(t, mine.Buffered)

	assert.Equal(t, server.Offered,
		server.Accepted+server.Duplicate+server.Nacked+server.Rejected+server.Superseded+server.Aborted)
	assert.Zero(t, server.InFlight)
	assert.Equal(t, mine.Sent-then.Sent, server.Offered, "sent to this server, offered to it")
	assert.Equal(t, mine.Committed-then.Committed, server.Accepted)
	assert.Equal(t, mine.Nacked-then.Nacked, server.Nacked+server.Duplicate)
	assert.Equal(t, mine.Rejected-then.Rejected, server.Rejected)
}

// TestKillInTheMiddleOfAStream: kill -9, ten times at random moments, while one session streams. Everything acked is
// there once, in order and byte-equal; nothing is doubled; the counts agree at both ends.
func TestKillInTheMiddleOfAStream(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), crashTimeout)
	defer cancel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, listen := t.TempDir(), freeAddress(t)
	s := startAt(t, dir, listen)
	c := s.client()
	w := openWriter(ctx, t, c)
	session := w.session

	for range crashes {
		before := session.Committed()
		waitUntil(ctx, t, "the session goes on", func() bool { return session.Committed() > before })
		pause(ctx, time.Duration(20+random.IntN(300))*time.Millisecond)
		acked := int(session.Committed())
		s.kill()
		s = startAt(t, dir, listen)
		requireStored(ctx, t, c, max(0, acked-1000), acked)
	}
	pause(ctx, 300*time.Millisecond)
	w.stop.Store(true)
	require.NoError(t, <-w.done)
	n := int(w.sent.Load())
	t.Logf("%d observations, %+v", n, session.Stats())
	require.EqualValues(t, n, session.Committed())
	requireStored(ctx, t, c, 0, n)
	requireSpace(ctx, t, c, n)
	w.requireCounts(ctx, t, c)

	ticket, err := session.Detach(ctx)
	require.NoError(t, err)
	resumed, err := c.Open(ctx, "crash", client.SessionOptions{Resume: &ticket})
	require.NoError(t, err)
	require.EqualValues(t, n, resumed.Committed())
	final, err := resumed.Close(ctx)
	require.NoError(t, err)
	require.EqualValues(t, n, final)
}

// requireStored demands that the observations [from, to) are there, byte-equal, with versions rising in their order.
func requireStored(ctx context.Context, t *testing.T, c *client.Client, from, to int) {
	t.Helper()
	var version uint64
	for start := from; start < to; start += 1000 {
		ids := make([]string, 0, 1000)
		for n := start; n < min(start+1000, to); n++ {
			ids = append(ids, crashID(n))
		}
		got, err := c.Get(ctx, "crash", ids, client.WithEmbedding{})
		require.NoError(t, err)
		require.Empty(t, got.Missing, "acked, but not there")
		for i, m := range got.Found {
			want := crashObservation(start + i)
			require.Equal(t, want.ID, m.ID)
			require.Equal(t, want.Content, m.Content)
			require.Equal(t, want.Embedding, m.Embedding)
			require.Equal(t, map[string]any{"n": int64(start + i), "odd": (start+i)%2 == 1}, m.Metadata)
			require.Greater(t, m.Version, version, "out of order")
			version = m.Version
		}
	}
}

// requireSpace demands n memories made by exactly n ops: versions are dense, so a doubled op would show.
func requireSpace(ctx context.Context, t *testing.T, c *client.Client, n int) {
	t.Helper()
	spaces, err := c.ListSpaces(ctx)
	require.NoError(t, err)
	require.Len(t, spaces, 1)
	require.EqualValues(t, n, spaces[0].Memories)
	require.EqualValues(t, n, spaces[0].Version, "an op was stored twice")
}

// freeAddress returns a loopback address that nothing listens on, for a server that must come back at the same place.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// pause lets a real process run for a while: there is no event to wait for, the moment is meant to be arbitrary.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func waitUntil(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", what, errors.Join(context.Cause(ctx)))
		}
		pause(ctx, time.Millisecond)
	}
}
