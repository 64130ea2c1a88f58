package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func connectTo(t *testing.T, address string) *Client {
	t.Helper()
	c, err := New(address)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// numbered observes 1 to n, each named by its number.
func numbered(ctx context.Context, t *testing.T, s *Session, n int) {
	t.Helper()
	for i := range n {
		_, err := s.Observe(ctx, Observation{ID: strconv.Itoa(i + 1), Embedding: make([]float32, 8)})
		require.NoError(t, err)
	}
}

func TestAStreamOverTheWire(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	s, err := connectTo(t, f.address).Open(ctx, "notes", SessionOptions{})
	require.NoError(t, err)
	numbered(ctx, t, s, 5000)
	require.NoError(t, s.Flush(ctx))
	answer, err := s.Recall(ctx, Query{Embedding: []float32{1}})
	require.NoError(t, err)
	assert.Equal(t, uint64(5000), answer.Version, "a recall sees what is committed")
	final, err := s.Close(ctx)
	require.NoError(t, err)
	assert.Equal(t, uint64(5000), final)
	f.requireExactlyOnce(5000)
	assert.Equal(t, f.received, s.Stats().Sent)
}

func TestStreamsThatBreakAndNacksInBetweenLoseNothing(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	f.breakAt = func(n int) bool { return n%17 == 0 && n < 120 }
	f.nackAt = func(n int) bool { return n%5 == 0 }
	s, err := connectTo(t, f.address).Open(ctx, "notes", SessionOptions{MaxBatch: 16})
	require.NoError(t, err)
	numbered(ctx, t, s, 2000)
	require.NoError(t, s.Flush(ctx))
	_, err = s.Close(ctx)
	require.NoError(t, err)
	f.requireExactlyOnce(2000)
	stats := s.Stats()
	assert.Positive(t, stats.Reconnects)
	assert.Positive(t, stats.Nacked)
	assert.Positive(t, stats.Recovered)
	assert.Equal(t, uint64(2000), stats.Committed)
}

func TestARestartedServerIsFoundAgain(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	s, err := connectTo(t, f.address).Open(ctx, "notes", SessionOptions{BufferItems: 100})
	require.NoError(t, err)
	var restarts sync.WaitGroup
	reached := make(chan struct{})
	restarts.Go(func() {
		<-reached
		f.stop()
		f.start(f.address)
	})
	for i := range 1000 {
		if i == 500 {
			close(reached)
		}
		_, err := s.Observe(ctx, Observation{ID: strconv.Itoa(i + 1)})
		require.NoError(t, err)
	}
	restarts.Wait()
	require.NoError(t, s.Flush(ctx))
	_, err = s.Close(ctx)
	require.NoError(t, err)
	f.requireExactlyOnce(1000)
}

func TestManyWritersAndReadersShareASession(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	f.breakAt = func(n int) bool { return n == 3 }
	s, err := connectTo(t, f.address).Open(ctx, "notes", SessionOptions{Linger: -1})
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				p, err := s.Observe(ctx, Observation{ID: "x"})
				assert.NoError(t, err)
				assert.NoError(t, p.Wait(ctx))
				answer, err := s.Recall(ctx, Query{})
				if assert.NoError(t, err) {
					assert.GreaterOrEqual(t, answer.Version, p.Sequence())
				}
			}
		})
	}
	all.Wait()
	final, err := s.Close(ctx)
	require.NoError(t, err)
	assert.Equal(t, uint64(400), final)
}

func TestASecondProgramFencesTheFirst(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	c := connectTo(t, f.address)
	older, err := c.Open(ctx, "notes", SessionOptions{})
	require.NoError(t, err)
	numbered(ctx, t, older, 10)
	require.NoError(t, older.Flush(ctx))
	ticket := older.Ticket()
	newer, err := c.Open(ctx, "notes", SessionOptions{Resume: &ticket})
	require.NoError(t, err)

	p, err := older.Observe(ctx, Observation{ID: "late"})
	require.NoError(t, err)
	assert.ErrorIs(t, p.Wait(ctx), ErrFenced)
	<-older.Done()

	p, err = newer.Observe(ctx, Observation{ID: "11"})
	require.NoError(t, err)
	assert.Equal(t, uint64(11), p.Sequence())
	_, err = newer.Close(ctx)
	require.NoError(t, err)
	f.requireExactlyOnce(11)
}

func TestNobodyListening(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	f.stop()
	c := connectTo(t, f.address)
	_, err := c.Open(ctx, "notes", SessionOptions{})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, connect.CodeUnavailable, e.Code)
	assert.True(t, e.Retryable())
	require.ErrorIs(t, err, ErrUnreachable)
	assert.EqualError(t, err, "engram: open session: cannot reach "+f.address+
		": connect: connection refused (is the server running? start one with: engram serve)")
	_, err = c.Recall(ctx, "notes", Query{})
	assert.ErrorContains(t, err, "engram: recall: cannot reach")
}

// TestCloseGivesUpThoughTheServerIsSilent: it does not wait for what the server says next, such as a heartbeat.
func TestCloseGivesUpThoughTheServerIsSilent(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	f.window = 0
	s, err := connectTo(t, f.address).Open(ctx, "notes", SessionOptions{})
	require.NoError(t, err)
	_, err = s.Observe(ctx, Observation{ID: "1", Embedding: []float32{1}})
	require.NoError(t, err)
	began := time.Now()
	closing, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = s.Close(closing)
	require.ErrorContains(t, err, "1 not committed yet")
	assert.Less(t, time.Since(began), 5*time.Second)
}

// TestHTTPSWhereThereIsNone: it says what to write instead, and does not try for ever.
func TestHTTPSWhereThereIsNone(t *testing.T) {
	plain, ctx := httptest.NewServer(http.NotFoundHandler()), deadline(t)
	defer plain.Close()
	address := plain.Listener.Addr().String()
	c := connectTo(t, "https://"+address)
	_, err := c.Recall(ctx, "notes", Query{})
	require.EqualError(t, err, "engram: recall: what answers at "+address+" speaks no TLS (write http://"+address+")")
	_, err = c.Open(ctx, "notes", SessionOptions{})
	assert.ErrorContains(t, err, "speaks no TLS")
}

// TestNoHTTP2AtAll: a server of something else is named as such, whether its answer or its end is met first.
func TestNoHTTP2AtAll(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn) // closing it at once may end the client's write first
			_ = conn.Close()
		}
	})
	defer served.Wait()
	defer listener.Close()
	address, ctx := listener.Addr().String(), deadline(t)
	c := connectTo(t, address)
	_, err = c.ListSpaces(ctx)
	require.ErrorContains(t, err, "engram: list spaces: ")
	require.ErrorContains(t, err, address)
	require.ErrorContains(t, err, "HTTP/2: is it engram? (check the address)")
	_, err = c.Open(ctx, "notes", SessionOptions{})
	assert.ErrorContains(t, err, "HTTP/2: is it engram?")
}

func TestAnUnknownSessionIsATypedError(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	_, err := connectTo(t, f.address).Open(ctx, "notes", SessionOptions{Resume: &Ticket{SessionID: "gone", Token: []byte("x")}})
	assert.ErrorIs(t, err, ErrSessionExpired)
}

// Observe, of the unary service, rejects the second observation and returns what it was asked otherwise.
func (f *flowServer) Observe(_ context.Context, r *connect.Request[engramv1.ObserveRequest]) (*connect.Response[engramv1.ObserveResponse], error) {
	if r.Msg.GetSpace() == "busy" {
		return nil, wireError(connect.CodeResourceExhausted, "the queue is full",
			&errdetails.ErrorInfo{Reason: "QUEUE_FULL"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "observations"}}})
	}
	res := &engramv1.ObserveResponse{CommitVersion: 2, Duplicate: r.Msg.GetRequestId() == "again"}
	for i, o := range r.Msg.GetObservations() {
		if i == 1 {
			res.MemoryIds = append(res.MemoryIds, "")
			res.Rejected = append(res.Rejected, &engramv1.Rejection{Range: &engramv1.SequenceRange{First: 1, Last: 1}, Code: 3, Reason: "empty"})
			continue
		}
		res.MemoryIds = append(res.MemoryIds, o.GetMemoryId())
	}
	return connect.NewResponse(res), nil
}

// Get returns one memory with everything set, and misses the others.
func (f *flowServer) Get(_ context.Context, r *connect.Request[engramv1.GetRequest]) (*connect.Response[engramv1.GetResponse], error) {
	o := Observation{
		ID: r.Msg.GetMemoryIds()[0], Content: "tea", Embedding: []float32{1, -2}, ObservedAt: epoch,
		Confidence: new(float32(0.5)), Metadata: map[string]any{"s": "x", "i": uint8(7), "f": float32(0.5), "b": true},
	}
	w, err := o.encode()
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&engramv1.GetResponse{Missing: r.Msg.GetMemoryIds()[1:], Memories: []*engramv1.Hit{{
		MemoryId: w.GetMemoryId(), Content: w.GetContent(), Metadata: w.GetMetadata(), EmbeddingF32: w.GetEmbeddingF32(),
		Confidence: w.GetConfidence(), ObservedAt: w.GetObservedAt(), Version: 3,
	}}}), nil
}

// ListSpaces serves two pages.
func (f *flowServer) ListSpaces(_ context.Context, r *connect.Request[engramv1.ListSpacesRequest]) (*connect.Response[engramv1.ListSpacesResponse], error) {
	if r.Msg.GetPageToken() == "" {
		return connect.NewResponse(&engramv1.ListSpacesResponse{
			Spaces: []*engramv1.Space{{Name: "a", Metric: engramv1.Metric_METRIC_DOT, Dimension: 3}}, NextPageToken: "more",
		}), nil
	}
	return connect.NewResponse(&engramv1.ListSpacesResponse{Spaces: []*engramv1.Space{{Name: "b"}}}), nil
}

func TestObserveStoresTheRestAndReportsTheRejected(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	c := connectTo(t, f.address)
	got, err := c.Observe(ctx, "notes", []Observation{{ID: "a"}, {}, {ID: "c"}}, RequestID("again"))
	var rejected *RejectedError
	require.ErrorAs(t, err, &rejected)
	assert.Equal(t, uint64(1), rejected.First)
	assert.Zero(t, rejected.More)
	assert.Equal(t, []string{"a", "", "c"}, got.MemoryIDs)
	assert.True(t, got.Duplicate)
}

func TestErrorsCarryWhatTheServerAttached(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	_, err := connectTo(t, f.address).Observe(ctx, "busy", []Observation{{}})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "QUEUE_FULL", e.Reason)
	assert.Equal(t, "observations", e.Field)
	assert.Equal(t, time.Second, e.RetryAfter)
	assert.True(t, e.Retryable())
	assert.EqualError(t, err, "engram: observe: observations: the queue is full")
}

func TestGetReturnsWhatWasStored(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	got, err := connectTo(t, f.address).Get(ctx, "notes", []string{"a", "b"}, WithEmbedding{})
	require.NoError(t, err)
	assert.Equal(t, []string{"b"}, got.Missing)
	assert.Equal(t, []Memory{{
		ID: "a", Content: "tea", Embedding: []float32{1, -2}, Confidence: 0.5, ObservedAt: epoch.UTC(), Version: 3,
		Metadata: map[string]any{"s": "x", "i": int64(7), "f": 0.5, "b": true},
	}}, got.Found)
}

func TestListSpacesReadsAllPages(t *testing.T) {
	f, ctx := startFlowServer(t), deadline(t)
	spaces, err := connectTo(t, f.address).ListSpaces(ctx)
	require.NoError(t, err)
	require.Len(t, spaces, 2)
	assert.Equal(t, Space{Name: "a", Metric: Dot, Dimension: 3}, spaces[0])
}

func TestNewChecksItsURL(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "names no host",
		"127.0.0.1:99999":        "a port is a number from 1 to 65535",
		"127.0.0.1:0":            "a port is a number from 1 to 65535",
		"ftp://x":                "scheme must be http or https",
		"http://":                "names no host",
		"http://h:1/?q=1":        "only scheme, host, port and path",
		"http://user:pass@h:1":   "only scheme, host, port and path",
		"http://[::1":            "is not a URL",
		"127.0.0.1:7320":         "",
		"localhost:7320":         "",
		"https://engram.example": "",
		"http://h:1/behind/":     "",
	} {
		_, err := New(in)
		if want == "" {
			assert.NoError(t, err, in)
			continue
		}
		assert.ErrorContains(t, err, want, in)
	}
}
