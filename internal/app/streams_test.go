package app

import (
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// threeProtocols are connect-go's client in each protocol.
var threeProtocols = map[string][]connect.ClientOption{
	"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
}

func flowClient(t *testing.T, s *Server, options ...connect.ClientOption) engramv1connect.FlowServiceClient {
	t.Helper()
	return engramv1connect.NewFlowServiceClient(h2c(t), "http://"+s.Address(), options...)
}

// A session is the same on either kind of stream: what ObserveStream stores, MemoryFlow goes on with.
func TestObserveStream(t *testing.T) {
	for protocol, options := range threeProtocols {
		t.Run(protocol, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			stream := flowClient(t, s, options...).ObserveStream(t.Context())
			send := func(r *engramv1.ObserveStreamRequest) { require.NoError(t, stream.Send(r)) }
			next := func() *engramv1.ObserveStreamResponse {
				m, err := stream.Receive()
				require.NoError(t, err)
				return m
			}
			acked := func(number uint64) {
				for next().GetAck().GetCommittedThrough() < number {
				}
			}
			send(&engramv1.ObserveStreamRequest{Frame: &engramv1.ObserveStreamRequest_Hello{Hello: faces()}})
			welcome := next().GetWelcome()
			require.NotNil(t, welcome)
			send(&engramv1.ObserveStreamRequest{Frame: &engramv1.ObserveStreamRequest_Observe{Observe: &engramv1.ObserveBatch{
				FirstSequence: 1, Observations: []*engramv1.Observation{seen("a", 1, 0), seen("b", 0, 1)},
			}}})
			acked(2)
			send(&engramv1.ObserveStreamRequest{Frame: &engramv1.ObserveStreamRequest_Forget{Forget: &engramv1.ForgetOp{
				Sequence: 3, Target: &engramv1.ForgetTarget{MemoryIds: []string{welcome.GetSessionId() + "-1"}},
			}}})
			acked(3)
			send(&engramv1.ObserveStreamRequest{Frame: &engramv1.ObserveStreamRequest_Observe{Observe: &engramv1.ObserveBatch{
				FirstSequence: 6, Observations: []*engramv1.Observation{seen("gap", 1, 0)},
			}}})
			assert.Equal(t, uint64(4), next().GetNack().GetExpectedSequence())
			send(&engramv1.ObserveStreamRequest{Frame: &engramv1.ObserveStreamRequest_Ping{Ping: &engramv1.Ping{Nonce: 7}}})
			assert.Equal(t, uint64(7), next().GetPong().GetNonce())
			send(&engramv1.ObserveStreamRequest{Frame: &engramv1.ObserveStreamRequest_Goodbye{Goodbye: &engramv1.Goodbye{}}})
			assert.Equal(t, uint64(3), next().GetClosed().GetFinalSequence())

			f, resumed := join(t, s, &engramv1.Hello{Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken()}, options...)
			assert.Equal(t, uint64(3), resumed.GetCommittedThrough())
			hits, _, _ := f.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 1}, IncludeContent: true})
			require.Len(t, hits, 1)
			assert.Equal(t, "b", hits[0].GetContent())
		})
	}
}

func TestObserveStreamRefusesWhatItCannotTake(t *testing.T) {
	s := startServer(t, t.TempDir())
	for name, frames := range map[string][]*engramv1.ObserveStreamRequest{
		"no hello": {{Frame: &engramv1.ObserveStreamRequest_Ping{Ping: &engramv1.Ping{}}}},
		"empty":    {{Frame: &engramv1.ObserveStreamRequest_Hello{Hello: faces()}}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			stream := flowClient(t, s).ObserveStream(t.Context())
			var err error
			for _, f := range frames {
				require.NoError(t, stream.Send(f))
			}
			for err == nil {
				_, err = stream.Receive()
			}
			assert.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
		})
	}
}

func TestRecallStream(t *testing.T) {
	for protocol, options := range threeProtocols {
		t.Run(protocol, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			f, _ := join(t, s, faces())
			for i := range uint64(7) {
				f.observe(i+1, seen(fmt.Sprint(i), 1, float32(i)))
			}
			f.ack(7)
			flow := flowClient(t, s, options...)
			recall := func(space string, q *engramv1.RecallQuery) (started *engramv1.RecallStarted, hits []*engramv1.Hit, chunks int, done *engramv1.RecallDone, err error) {
				stream, err := flow.RecallStream(t.Context(), connect.NewRequest(&engramv1.RecallStreamRequest{Space: space, Query: q}))
				require.NoError(t, err)
				defer stream.Close()
				for stream.Receive() {
					switch m := stream.Msg(); {
					case m.GetStarted() != nil:
						started = m.GetStarted()
					case m.GetChunk() != nil:
						hits = append(hits, m.GetChunk().GetHits()...)
						chunks++
					case m.GetDone() != nil:
						done = m.GetDone()
					}
				}
				return started, hits, chunks, done, stream.Err()
			}
			started, hits, chunks, done, err := recall("faces", &engramv1.RecallQuery{Embedding: []float32{1, 0}, Limit: 7, ChunkSize: 3, IncludeContent: true})
			require.NoError(t, err)
			assert.Equal(t, uint64(7), started.GetSnapshotVersion())
			require.Len(t, hits, 7)
			assert.Equal(t, "0", hits[0].GetContent())
			assert.Equal(t, 3, chunks)
			assert.Equal(t, uint32(7), done.GetTotalHits())
			assert.Zero(t, done.GetCode())

			for name, c := range map[string]struct {
				space string
				query *engramv1.RecallQuery
				code  connect.Code
			}{
				"no such space":   {"none", &engramv1.RecallQuery{Embedding: []float32{1, 0}}, connect.CodeNotFound},
				"wrong dimension": {"faces", &engramv1.RecallQuery{Embedding: []float32{1}}, connect.CodeInvalidArgument},
				"no query":        {"faces", nil, connect.CodeInvalidArgument},
				"not built":       {"faces", &engramv1.RecallQuery{Embedding: []float32{1, 0}, Explain: true}, connect.CodeUnimplemented},
				"no embedder":     {"faces", &engramv1.RecallQuery{Text: "tea"}, connect.CodeFailedPrecondition},
			} {
				started, _, _, _, err := recall(c.space, c.query)
				assert.Equal(t, c.code, connect.CodeOf(err), name)
				assert.Nil(t, started, name)
			}
		})
	}
}
