package e2e

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// freshServer starts a server on an empty folder and shows its log if the test fails.
func freshServer(t *testing.T) *server {
	t.Helper()
	s := start(t, t.TempDir())
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.stderr.String())
		}
	})
	return s
}

// TestClientSession: the SDK's whole life of a session against the real server, with the counts equal at both ends.
func TestClientSession(t *testing.T) {
	ctx, c := within(t, time.Minute), freshServer(t).client()
	s, err := c.Open(ctx, "life", client.SessionOptions{})
	require.NoError(t, err)

	const n = 2000
	var last *client.Pending
	for i := range n {
		last, err = s.Observe(ctx, client.Observation{Content: itoa(i), Embedding: vector(i, 16), Metadata: map[string]any{"i": i}})
		require.NoError(t, err)
	}
	bad, err := s.Observe(ctx, client.Observation{Embedding: []float32{1, 2, 3}})
	require.NoError(t, err)
	require.NoError(t, last.Wait(ctx))
	var rejected *client.RejectedError
	require.ErrorAs(t, bad.Wait(ctx), &rejected)
	assert.Equal(t, uint64(n+1), rejected.First)
	require.NoError(t, s.Flush(ctx), "the rejection was told by its Wait")

	found, err := s.Recall(ctx, client.Query{Embedding: vector(n-1, 16), Limit: 1, IncludeContent: true, IncludeEmbedding: true})
	require.NoError(t, err)
	require.Len(t, found.Hits, 1)
	assert.Equal(t, last.MemoryID(), found.Hits[0].ID, "the client knows the ids that the server makes")
	assert.Equal(t, map[string]any{"i": int64(n - 1)}, found.Hits[0].Metadata)
	assert.Equal(t, vector(n-1, 16), found.Hits[0].Embedding)

	forgotten, err := s.Forget(ctx, last.MemoryID())
	require.NoError(t, err)
	require.NoError(t, forgotten.Wait(ctx))
	memories, err := c.Get(ctx, "life", []string{last.MemoryID(), found.Hits[0].ID + "0"})
	require.NoError(t, err)
	assert.Len(t, memories.Missing, 2)

	final, err := s.Close(ctx)
	require.NoError(t, err)
	assert.Equal(t, uint64(n+2), final)
	stats, err := c.Stats(ctx, "")
	require.NoError(t, err)
	mine := s.Stats()
	assert.Equal(t, mine.Sent, stats.Offered)
	assert.Equal(t, mine.Committed, stats.Accepted)
	assert.Equal(t, mine.Rejected, stats.Rejected)
	assert.Equal(t, mine.Nacked, stats.Nacked+stats.Duplicate)
	assert.Zero(t, stats.InFlight)
	_, err = c.Open(ctx, "life", client.SessionOptions{Resume: new(s.Ticket())})
	assert.ErrorIs(t, err, client.ErrSessionExpired, "closed for good")
}

// TestClientSingleCalls: each of the unary calls once.
func TestClientSingleCalls(t *testing.T) {
	ctx, c := within(t, time.Minute), freshServer(t).client()
	made, err := c.CreateSpace(ctx, client.Space{Name: "near", Dimension: 2, Metric: client.L2})
	require.NoError(t, err)
	assert.Equal(t, client.L2, made.Metric)
	_, err = c.CreateSpace(ctx, client.Space{Name: "near", Dimension: 3})
	assert.ErrorContains(t, err, "near")

	pair := []client.Observation{{ID: "a", Embedding: []float32{0, 0}, Confidence: new(float32(0.5))}, {ID: "b", Embedding: []float32{3, 4}}}
	stored, err := c.Observe(ctx, "near", pair, client.RequestID("once"))
	require.NoError(t, err)
	again, err := c.Observe(ctx, "near", pair, client.RequestID("once"))
	require.NoError(t, err)
	assert.True(t, again.Duplicate)
	assert.Equal(t, stored.MemoryIDs, again.MemoryIDs)

	found, err := c.Recall(ctx, "near", client.Query{Embedding: []float32{0, 0}})
	require.NoError(t, err)
	require.Len(t, found.Hits, 2)
	assert.Equal(t, "a", found.Hits[0].ID)
	assert.InDelta(t, -5, found.Hits[1].Score, 1e-6)
	assert.InDelta(t, 0.5, found.Hits[0].Confidence, 1e-6)

	would, err := c.Forget(ctx, "near", []string{"a", "z"}, client.DryRun{})
	require.NoError(t, err)
	assert.Equal(t, uint64(1), would.Matched)
	did, err := c.Forget(ctx, "near", []string{"a", "z"})
	require.NoError(t, err)
	assert.Equal(t, uint64(1), did.Matched)
	memories, err := c.Get(ctx, "near", []string{"a", "b"}, client.WithEmbedding{})
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, memories.Missing)
	require.Len(t, memories.Found, 1)
	assert.Equal(t, []float32{3, 4}, memories.Found[0].Embedding)
	spaces, err := c.ListSpaces(ctx)
	require.NoError(t, err)
	require.Len(t, spaces, 1)
	assert.Equal(t, uint64(1), spaces[0].Memories)
	var listed []string
	for m, err := range c.List(ctx, "near", client.WithEmbedding{}) {
		require.NoError(t, err)
		assert.Equal(t, []float32{3, 4}, m.Embedding)
		listed = append(listed, m.ID)
	}
	assert.Equal(t, []string{"b"}, listed)
}

// TestClientOutlivesGracefulRestarts: the server is stopped in order and started again, twice, under a writer and a
// reader that notice nothing.
func TestClientOutlivesGracefulRestarts(t *testing.T) {
	ctx, dir, address := within(t, 2*time.Minute), t.TempDir(), freeAddress(t)
	server := startAt(t, dir, address)
	s, err := server.client().Open(ctx, "restarts", client.SessionOptions{BufferItems: 64})
	require.NoError(t, err)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	var written int
	workers.Go(func() {
		for ; ; written++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Observe(ctx, client.Observation{ID: itoa(written), Embedding: vector(written, 8)}); !assert.NoError(t, err) {
				return
			}
		}
	})
	workers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Recall(ctx, client.Query{Embedding: vector(1, 8)}); !assert.NoError(t, err) {
				return
			}
		}
	})
	for range 2 {
		require.Eventually(t, func() bool { return s.Stats().Buffered > 0 }, time.Minute, time.Millisecond)
		require.NoError(t, server.stop())
		server = startAt(t, dir, address)
		before := s.Committed()
		require.Eventually(t, func() bool { return s.Committed() > before+100 }, time.Minute, time.Millisecond)
	}
	close(stop)
	workers.Wait()
	final, err := s.Close(ctx)
	require.NoError(t, err)
	assert.Equal(t, uint64(written), final)
	assert.GreaterOrEqual(t, s.Stats().Reconnects, uint64(2))
	spaces, err := server.client().ListSpaces(ctx)
	require.NoError(t, err)
	require.Len(t, spaces, 1)
	assert.Equal(t, uint64(written), spaces[0].Memories)
	assert.Equal(t, uint64(written), spaces[0].Version, "versions are dense: a doubled observation would show")
}

// TestClientTicket: one program detaches, another goes on; a third takes over and the second is fenced.
func TestClientTicket(t *testing.T) {
	ctx, c := within(t, time.Minute), freshServer(t).client()
	first, err := c.Open(ctx, "ticket", client.SessionOptions{})
	require.NoError(t, err)
	for i := range 10 {
		_, err := first.Observe(ctx, client.Observation{Embedding: vector(i, 4)})
		require.NoError(t, err)
	}
	ticket, err := first.Detach(ctx)
	require.NoError(t, err)
	assert.Equal(t, uint64(10), ticket.Committed)

	second, err := c.Open(ctx, "ticket", client.SessionOptions{Resume: &ticket})
	require.NoError(t, err)
	p, err := second.Observe(ctx, client.Observation{Embedding: vector(10, 4)})
	require.NoError(t, err)
	assert.Equal(t, uint64(11), p.Sequence())
	require.NoError(t, p.Wait(ctx))

	third, err := c.Open(ctx, "ticket", client.SessionOptions{Resume: &ticket})
	require.NoError(t, err)
	assert.Equal(t, uint64(11), third.Committed())
	<-second.Done()
	require.ErrorIs(t, second.Err(), client.ErrFenced)
	_, err = third.Close(ctx)
	require.NoError(t, err)

	_, err = c.Open(ctx, "ticket", client.SessionOptions{Resume: &client.Ticket{SessionID: "sunknown", Token: ticket.Token}})
	assert.ErrorIs(t, err, client.ErrSessionExpired)
}

// TestClientRefusals: a wrong token, a ticket from the future, another space.
func TestClientRefusals(t *testing.T) {
	ctx, c := within(t, time.Minute), freshServer(t).client()
	s, err := c.Open(ctx, "mine", client.SessionOptions{})
	require.NoError(t, err)
	ticket, err := s.Detach(ctx)
	require.NoError(t, err)

	ahead := ticket
	ahead.Committed = 9
	_, err = c.Open(ctx, "mine", client.SessionOptions{Resume: &ahead})
	require.ErrorIs(t, err, client.ErrServerBehind)
	assert.ErrorContains(t, err, "9")

	stolen := ticket
	stolen.Token = make([]byte, 16)
	_, err = c.Open(ctx, "mine", client.SessionOptions{Resume: &stolen})
	failed, ok := errors.AsType[*client.Error](err)
	require.True(t, ok)
	assert.Equal(t, "WRONG_TOKEN", failed.Reason)
	_, err = c.Open(ctx, "yours", client.SessionOptions{Resume: &ticket})
	failed, ok = errors.AsType[*client.Error](err)
	require.True(t, ok)
	assert.Equal(t, "WRONG_SPACE", failed.Reason)
}
