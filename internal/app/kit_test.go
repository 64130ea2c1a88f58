package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// patience bounds every wait of a test, so that a hang is a failure that names its line.
const patience = 20 * time.Second

func flag(path, value string) config.Override {
	return config.Override{Path: path, Value: value, Layer: config.Flags, Name: "--" + path}
}

func noEnvironment(string) (string, bool) { return "", false }

func makeServer(t *testing.T, dir string, overrides ...config.Override) *Server {
	t.Helper()
	s, err := New(Config{
		Overrides: append([]config.Override{flag("listen", "127.0.0.1:0"), flag("data", dir)}, overrides...),
		LookupEnv: noEnvironment, Version: "v0.0.0-test",
	})
	require.NoError(t, err)
	return s
}

// startServer runs a server on a free loopback port until the test ends or stops it.
func startServer(t *testing.T, dir string, overrides ...config.Override) *Server {
	t.Helper()
	s := makeServer(t, dir, overrides...)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	assert.NoError(t, s.Stop(ctx))
}

// h2c returns a client that speaks HTTP/2 without TLS.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// http1 returns a client that speaks HTTP/1.1.
func http1(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func memoryClient(t *testing.T, s *Server) engramv1connect.MemoryServiceClient {
	t.Helper()
	return engramv1connect.NewMemoryServiceClient(h2c(t), "http://"+s.Address(), connect.WithGRPC())
}

func stats(t *testing.T, s *Server) *engramv1.GetStatsResponse {
	t.Helper()
	client := engramv1connect.NewAdminServiceClient(h2c(t), "http://"+s.Address())
	r, err := client.GetStats(t.Context(), connect.NewRequest(&engramv1.GetStatsRequest{}))
	require.NoError(t, err)
	return r.Msg
}

// flow is one MemoryFlow stream as a client holds it.
type flow struct {
	t      *testing.T
	stream *connect.BidiStreamForClient[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]
	cancel context.CancelFunc
}

// dial opens a stream without saying Hello.
func dial(t *testing.T, s *Server, options ...connect.ClientOption) *flow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	client := engramv1connect.NewFlowServiceClient(h2c(t), "http://"+s.Address(), options...)
	return &flow{t: t, stream: client.MemoryFlow(ctx), cancel: cancel}
}

// join opens a stream and takes the Welcome.
func join(t *testing.T, s *Server, hello *engramv1.Hello, options ...connect.ClientOption) (*flow, *engramv1.Welcome) {
	t.Helper()
	f := dial(t, s, options...)
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: hello}})
	welcome := f.next().GetWelcome()
	require.NotNil(t, welcome)
	return f, welcome
}

func (f *flow) send(m *engramv1.MemoryFlowRequest) {
	f.t.Helper()
	require.NoError(f.t, f.stream.Send(m))
}

func (f *flow) observe(first uint64, observations ...*engramv1.Observation) {
	f.t.Helper()
	f.send(observeFrame(first, observations...))
}

func observeFrame(first uint64, observations ...*engramv1.Observation) *engramv1.MemoryFlowRequest {
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{
		Observe: &engramv1.ObserveBatch{FirstSequence: first, Observations: observations},
	}}
}

func (f *flow) goodbye(end bool) {
	f.t.Helper()
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{EndSession: end}}})
}

func (f *flow) next() *engramv1.MemoryFlowResponse {
	f.t.Helper()
	m, err := f.stream.Receive()
	require.NoError(f.t, err)
	return m
}

// until returns the first frame that pick finds something in.
func until[T any](f *flow, pick func(*engramv1.MemoryFlowResponse) *T) *T {
	f.t.Helper()
	for {
		if found := pick(f.next()); found != nil {
			return found
		}
	}
}

func (f *flow) ack(through uint64) *engramv1.Ack {
	f.t.Helper()
	return until(f, func(m *engramv1.MemoryFlowResponse) *engramv1.Ack {
		if a := m.GetAck(); a.GetCommittedThrough() >= through {
			return a
		}
		return nil
	})
}

// recall asks on the stream and returns all that came for it.
func (f *flow) recall(id uint64, q *engramv1.RecallQuery) (hits []*engramv1.Hit, snapshot uint64, done *engramv1.RecallDone) {
	f.t.Helper()
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Recall{Recall: &engramv1.RecallOp{RecallId: id, Query: q}}})
	done = until(f, func(m *engramv1.MemoryFlowResponse) *engramv1.RecallDone {
		hits = append(hits, m.GetRecallChunk().GetHits()...)
		snapshot = max(snapshot, m.GetRecallStarted().GetSnapshotVersion())
		return m.GetRecallDone()
	})
	return hits, snapshot, done
}

// failure reads on until the stream ends and returns why.
func (f *flow) failure() *connect.Error {
	f.t.Helper()
	for {
		if _, err := f.stream.Receive(); err != nil {
			wire, ok := errors.AsType[*connect.Error](err)
			require.True(f.t, ok, "ended with %v", err)
			return wire
		}
	}
}

func (f *flow) ended() {
	f.t.Helper()
	for {
		if _, err := f.stream.Receive(); err != nil {
			require.ErrorIs(f.t, err, io.EOF)
			return
		}
	}
}

func seen(content string, vector ...float32) *engramv1.Observation {
	return &engramv1.Observation{Content: content, Embedding: vector}
}

func packed(vector ...float32) []byte {
	var out []byte
	for _, x := range vector {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// curl posts JSON over HTTP/1.1, as the README's lines do, and returns the status, the headers and the answer.
func curl(t *testing.T, s *Server, method, body string) (int, http.Header, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Address()+"/engram.v1."+method, bytes.NewBufferString(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	response, err := http1(t).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, 1, response.ProtoMajor)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out), "%s", text)
	return response.StatusCode, response.Header, out
}
