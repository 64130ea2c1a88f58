package clients

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/emptypb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// grpcFlow is a MemoryFlow of grpc-go, frame by frame.
type grpcFlow struct {
	t      *testing.T
	stream grpc.ClientStream
}

func newGRPCFlow(ctx context.Context, t *testing.T, address string, options ...grpc.CallOption) grpcFlow {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	stream, err := dial(t, address).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		engramv1connect.FlowServiceMemoryFlowProcedure, options...)
	require.NoError(t, err)
	return grpcFlow{t: t, stream: stream}
}

func (f grpcFlow) send(text string) {
	f.t.Helper()
	frame := &engramv1.MemoryFlowRequest{}
	require.NoError(f.t, protojson.Unmarshal([]byte(text), frame), text)
	require.NoError(f.t, f.stream.SendMsg(frame))
}

// receive returns the next frame that is neither credit nor heartbeat.
func (f grpcFlow) receive() *engramv1.MemoryFlowResponse {
	f.t.Helper()
	for {
		frame := &engramv1.MemoryFlowResponse{}
		require.NoError(f.t, f.stream.RecvMsg(frame))
		if frame.GetCredit() == nil && frame.GetPong() == nil {
			return frame
		}
	}
}

// awaitAck reads until everything up to a number is committed: what comes twice is acked again before that.
func (f grpcFlow) awaitAck(through uint64) *engramv1.Ack {
	f.t.Helper()
	for {
		frame := f.receive()
		require.NotNil(f.t, frame.GetAck(), "%v", frame)
		if frame.GetAck().GetCommittedThrough() >= through {
			return frame.GetAck()
		}
	}
}

// failure reads to the stream's end.
func (f grpcFlow) failure() *status.Status {
	f.t.Helper()
	for {
		if err := f.stream.RecvMsg(&engramv1.MemoryFlowResponse{}); err != nil {
			require.NotErrorIs(f.t, err, io.EOF)
			return status.Convert(err)
		}
	}
}

// TestGRPCGoResumes: the connection breaks without a goodbye; the session goes on where it was, and what comes twice is
// stored once.
func TestGRPCGoResumes(t *testing.T) {
	t.Parallel()
	address := serve(t)
	ctx, cut := context.WithCancel(t.Context())
	f := newGRPCFlow(ctx, t, address, grpc.UseCompressor(gzip.Name))
	f.send(`{"hello":{"space":"flow"}}`)
	welcome := f.receive().GetWelcome()
	f.send(`{"observe":{"firstSequence":"1","observations":[{"memoryId":"a","embedding":[1,0]},{"memoryId":"b","embedding":[0,1]}]}}`)
	f.awaitAck(2)
	f.send(`{"recall":{"recallId":"1","query":{"embedding":[1,0],"limit":1}}}`)
	require.EqualValues(t, 2, f.receive().GetRecallStarted().GetSnapshotVersion(), "what was acked is seen")
	require.Equal(t, []string{"a"}, ids(f.receive().GetRecallChunk().GetHits()))
	require.Zero(t, f.receive().GetRecallDone().GetCode())
	cut()
	require.Equal(t, codes.Canceled, f.failure().Code())

	again := newGRPCFlow(t.Context(), t, address)
	s := story{space: "flow"}
	again.send(s.resume(welcome, 1))
	resumed := again.receive().GetWelcome()
	require.True(t, resumed.GetResumed())
	require.EqualValues(t, 2, resumed.GetCommittedThrough())
	again.send(`{"observe":{"firstSequence":"2","observations":[{"memoryId":"twice","embedding":[0,1]},{"memoryId":"c","embedding":[0,1]}]}}`)
	require.EqualValues(t, 3, again.awaitAck(3).GetCommitVersion(), "the one that came twice took no version")
	again.send(`{"goodbye":{"endSession":true}}`)
	require.True(t, again.receive().GetClosed().GetSessionEnded())
	require.ErrorIs(t, again.stream.RecvMsg(&engramv1.MemoryFlowResponse{}), io.EOF)
}

// TestGRPCGoReadsTheEndsOfStreams: what ends a stream from either side comes as the code that gRPC has for it.
func TestGRPCGoReadsTheEndsOfStreams(t *testing.T) {
	t.Parallel()
	address := serve(t)
	hello := `{"hello":{"space":"ends"}}`

	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		stream, err := dial(t, address).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, engramv1connect.FlowServiceMemoryFlowProcedure)
		if err == nil {
			err = stream.RecvMsg(&engramv1.MemoryFlowResponse{})
		}
		require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
	})
	t.Run("fenced", func(t *testing.T) {
		t.Parallel()
		older, newer := newGRPCFlow(t.Context(), t, address), newGRPCFlow(t.Context(), t, address)
		older.send(hello)
		s := story{space: "ends"}
		newer.send(s.resume(older.receive().GetWelcome(), 0))
		require.True(t, newer.receive().GetWelcome().GetResumed())
		require.Equal(t, engramv1.GoAway_REASON_FENCED, older.receive().GetGoAway().GetReason())
		said := older.failure()
		require.Equal(t, codes.Aborted, said.Code(), "%v", said)
		info, _, _ := details(said)
		require.Equal(t, "FENCED", info.GetReason())
	})
	t.Run("a message over the limit", func(t *testing.T) {
		t.Parallel()
		f := newGRPCFlow(t.Context(), t, address)
		f.send(hello)
		limits := f.receive().GetWelcome().GetLimits()
		// The server may refuse the message before all of it is written.
		_ = f.stream.SendMsg(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: &engramv1.ObserveBatch{
			FirstSequence: 1, Observations: []*engramv1.Observation{{Content: strings.Repeat("x", int(limits.GetMaxMessageBytes()))}},
		}}})
		said := f.failure()
		require.Equal(t, codes.ResourceExhausted, said.Code(), "%v", said)
		info, _, _ := details(said)
		require.Equal(t, "MESSAGE_TOO_LARGE", info.GetReason())
	})
	t.Run("no such method", func(t *testing.T) {
		t.Parallel()
		for _, method := range []string{"/engram.v1.MemoryService/Nope", "/engram.v2.MemoryService/Get"} {
			err := dial(t, address).Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{})
			require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
		}
	})
}
