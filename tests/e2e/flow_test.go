package e2e

import (
	"context"
	"encoding/binary"
	"math"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// flow is a MemoryFlow stream spoken frame by frame, without the SDK.
type flow struct {
	t       *testing.T
	stream  *connect.BidiStreamForClient[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]
	welcome *engramv1.Welcome
}

// h2c returns an HTTP client for gRPC on a connection of its own.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *server) flowClient() engramv1connect.FlowServiceClient {
	return engramv1connect.NewFlowServiceClient(h2c(s.t), "http://"+s.address, connect.WithGRPC())
}

// dialFlow opens a stream and says nothing yet.
func (s *server) dialFlow(ctx context.Context) *flow {
	s.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	s.t.Cleanup(cancel)
	return &flow{t: s.t, stream: s.flowClient().MemoryFlow(ctx)}
}

// openFlow opens a stream and a session.
func (s *server) openFlow(ctx context.Context, hello *engramv1.Hello) *flow {
	s.t.Helper()
	f := s.dialFlow(ctx)
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: hello}})
	f.welcome = f.receive().GetWelcome()
	require.NotNil(s.t, f.welcome)
	return f
}

func (f *flow) send(r *engramv1.MemoryFlowRequest) {
	f.t.Helper()
	require.NoError(f.t, f.stream.Send(r))
}

func (f *flow) observe(first uint64, observations ...*engramv1.Observation) {
	f.t.Helper()
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: &engramv1.ObserveBatch{
		FirstSequence: first, Observations: observations,
	}}})
}

func (f *flow) recall(id uint64, q *engramv1.RecallQuery) {
	f.t.Helper()
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Recall{Recall: &engramv1.RecallOp{RecallId: id, Query: q}}})
}

func (f *flow) goodbye(end bool) {
	f.t.Helper()
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{EndSession: end}}})
}

// receive returns the next frame that is neither credit nor heartbeat.
func (f *flow) receive() *engramv1.MemoryFlowResponse {
	f.t.Helper()
	for {
		r, err := f.stream.Receive()
		require.NoError(f.t, err)
		switch r.GetFrame().(type) {
		case *engramv1.MemoryFlowResponse_Credit, *engramv1.MemoryFlowResponse_Pong:
		default:
			return r
		}
	}
}

// awaitAck reads until everything up to a number is committed, and returns that ack.
func (f *flow) awaitAck(through uint64) *engramv1.Ack {
	f.t.Helper()
	for {
		r := f.receive()
		require.Nil(f.t, r.GetNack(), "%v", r)
		if a := r.GetAck(); a.GetCommittedThrough() >= through {
			return a
		}
	}
}

// awaitRecall reads until a recall is done and returns its hits.
func (f *flow) awaitRecall(id uint64) []*engramv1.Hit {
	f.t.Helper()
	var hits []*engramv1.Hit
	for {
		r := f.receive()
		if c := r.GetRecallChunk(); c.GetRecallId() == id {
			hits = append(hits, c.GetHits()...)
		}
		if d := r.GetRecallDone(); d.GetRecallId() == id {
			require.Zero(f.t, d.GetCode(), d.GetReason())
			require.EqualValues(f.t, len(hits), d.GetTotalHits())
			return hits
		}
	}
}

// failure reads to the stream's end and returns its error, with the frames before it.
func (f *flow) failure() (*connect.Error, []*engramv1.MemoryFlowResponse) {
	f.t.Helper()
	var frames []*engramv1.MemoryFlowResponse
	for {
		r, err := f.stream.Receive()
		if err != nil {
			ce := new(connect.Error)
			require.ErrorAs(f.t, err, &ce)
			return ce, frames
		}
		frames = append(frames, r)
	}
}

// wire is an observation as base64 clients send it.
func wire(id string, v ...float32) *engramv1.Observation {
	return &engramv1.Observation{MemoryId: id, EmbeddingF32: littleEndian(v)}
}

func littleEndian(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
