package app

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// eachProtocol runs a test on a server of its own over each protocol of the RPC port.
func eachProtocol(t *testing.T, test func(t *testing.T, s *Server, admin engramv1connect.AdminServiceClient, options ...connect.ClientOption)) {
	t.Helper()
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "connect json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			test(t, s, engramv1connect.NewAdminServiceClient(h2c(t), "http://"+s.Address(), options...), options...)
		})
	}
}

// requireRefused checks a call's error, with the stable word that programs go by.
func requireRefused(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	require.Equal(t, code, connect.CodeOf(err), "%v", err)
	var wire *connect.Error
	require.ErrorAs(t, err, &wire)
	for _, d := range wire.Details() {
		value, err := d.Value()
		require.NoError(t, err)
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			require.Equal(t, reason, info.GetReason())
			return
		}
	}
	t.Fatalf("no reason: %v", err)
}

func endSession(t *testing.T, admin engramv1connect.AdminServiceClient, id string, token []byte) (*engramv1.Session, error) {
	t.Helper()
	r, err := admin.EndSession(t.Context(), connect.NewRequest(&engramv1.EndSessionRequest{SessionId: id, ResumeToken: token}))
	if err != nil {
		return nil, err
	}
	return r.Msg.GetSession(), nil
}

func getSession(t *testing.T, admin engramv1connect.AdminServiceClient, id string, token []byte) (*engramv1.Session, error) {
	t.Helper()
	r, err := admin.GetSession(t.Context(), connect.NewRequest(&engramv1.GetSessionRequest{SessionId: id, ResumeToken: token}))
	if err != nil {
		return nil, err
	}
	return r.Msg.GetSession(), nil
}

func TestSessionsAreSeenAndEndedByOperators(t *testing.T) {
	eachProtocol(t, func(t *testing.T, s *Server, admin engramv1connect.AdminServiceClient, options ...connect.ClientOption) {
		a, first := join(t, s, &engramv1.Hello{Space: "a"}, options...)
		b, second := join(t, s, &engramv1.Hello{Space: "b"}, options...)
		a.observe(1, seen("x", 1, 0), seen("bad", 1), seen("y", 0, 1))
		a.ack(3)
		b.goodbye(false)
		b.ended()
		curl(t, s, "MemoryService/Observe", `{"space":"a","requestId":"r","observations":[{"embedding":[1,1]}]}`)

		one, err := getSession(t, admin, first.GetSessionId(), first.GetResumeToken())
		require.NoError(t, err)
		assert.Equal(t, engramv1.Session_STATE_ATTACHED, one.GetState())
		assert.Equal(t, []uint64{1, 3}, []uint64{one.GetEpoch(), one.GetCommittedThrough()})
		_, err = getSession(t, admin, first.GetSessionId(), second.GetResumeToken())
		requireRefused(t, err, connect.CodePermissionDenied, "WRONG_TOKEN")
		_, err = endSession(t, admin, first.GetSessionId(), []byte("guess"))
		requireRefused(t, err, connect.CodePermissionDenied, "WRONG_TOKEN")
		_, err = getSession(t, admin, "snobody", nil)
		requireRefused(t, err, connect.CodeNotFound, "SESSION_EXPIRED")
		_, err = endSession(t, admin, "snobody", nil)
		requireRefused(t, err, connect.CodeNotFound, "SESSION_EXPIRED")

		all, err := admin.ListSessions(t.Context(), connect.NewRequest(&engramv1.ListSessionsRequest{}))
		require.NoError(t, err)
		require.Len(t, all.Msg.GetSessions(), 2, "a unary call is no session to be resumed")
		of, err := admin.ListSessions(t.Context(), connect.NewRequest(&engramv1.ListSessionsRequest{Space: "b"}))
		require.NoError(t, err)
		require.Len(t, of.Msg.GetSessions(), 1)
		assert.Equal(t, engramv1.Session_STATE_DETACHED, of.Msg.GetSessions()[0].GetState())
		assert.True(t, of.Msg.GetSessions()[0].GetExpiresAt().IsValid())

		ended, err := endSession(t, admin, first.GetSessionId(), first.GetResumeToken())
		require.NoError(t, err)
		assert.Equal(t, engramv1.Session_STATE_ENDED, ended.GetState())
		assert.EqualValues(t, 3, ended.GetCommittedThrough())
		away := until(a, (*engramv1.MemoryFlowResponse).GetGoAway)
		assert.Equal(t, engramv1.GoAway_REASON_ENDED, away.GetReason())
		requireRefused(t, a.failure(), connect.CodeNotFound, "SESSION_EXPIRED")
		_, err = endSession(t, admin, second.GetSessionId(), nil)
		require.NoError(t, err, "a detached one ends too")
		for space, w := range map[string]*engramv1.Welcome{"a": first, "b": second} {
			again := dial(t, s, options...)
			again.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: resuming(space, w)}})
			requireRefused(t, again.failure(), connect.CodeNotFound, "SESSION_EXPIRED")
		}
		counted := stats(t, s)
		assert.Zero(t, counted.GetSessionsAttached()+counted.GetSessionsDetached())
	})
}

func resuming(space string, w *engramv1.Welcome) *engramv1.Hello {
	return &engramv1.Hello{Space: space, SessionId: w.GetSessionId(), ResumeToken: w.GetResumeToken()}
}

// A session is ended while its client sends, while another resumes it and while it says Goodbye, all at once. Whoever is
// first, the operator's answer says exactly what is stored of it, the client is told SESSION_EXPIRED or Closed, each item
// gets one verdict, and nobody is left attached.
func TestAnEndThatRaces(t *testing.T) {
	s := startServer(t, t.TempDir())
	admin := engramv1connect.NewAdminServiceClient(h2c(t), "http://"+s.Address())
	var stored uint64
	const rounds = 30
	for round := range rounds {
		f, w := join(t, s, faces())
		f.observe(1, seen("first", 1, 0))
		f.ack(1)
		var racing sync.WaitGroup
		racing.Go(func() { sendUntilRefused(f, round%3 == 2) })
		if round%3 == 1 {
			racing.Go(func() { resumeAndLeave(t, s, w) })
		}
		ended, err := endSession(t, admin, w.GetSessionId(), nil)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, ended.GetCommittedThrough(), uint64(1))
		stored += ended.GetCommittedThrough()
		racing.Wait()
		readToTheEnd(t, f, ended.GetCommittedThrough())
		again := dial(t, s)
		again.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: resuming("faces", w)}})
		requireRefused(t, again.failure(), connect.CodeNotFound, "SESSION_EXPIRED")
	}
	spaces, err := admin.ListSpaces(t.Context(), connect.NewRequest(&engramv1.ListSpacesRequest{}))
	require.NoError(t, err)
	assert.Equal(t, stored, spaces.Msg.GetSpaces()[0].GetMemories(), "what is stored is what the answers said")
	require.Eventually(t, func() bool {
		got := stats(t, s)
		return got.GetInFlight() == 0 && got.GetSessionsAttached()+got.GetSessionsDetached() == 0 && got.GetAccepted() == stored
	}, patience, time.Millisecond)
}

// sendUntilRefused sends observations until the stream takes no more, or, in the middle of them, a Goodbye.
func sendUntilRefused(f *flow, leave bool) {
	for n := uint64(2); n < 20; n++ {
		frame := observeFrame(n, seen("more", 1, 0))
		last := leave && n == 10
		if last {
			frame = &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{}}}
		}
		if f.stream.Send(frame) != nil || last {
			return
		}
	}
}

// readToTheEnd reads what a stream is told, which may be no more than its session has.
func readToTheEnd(t *testing.T, f *flow, committed uint64) {
	t.Helper()
	for {
		m, err := f.stream.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && connect.CodeOf(err) != connect.CodeAborted { // fenced by the one that resumed
				requireRefused(t, err, connect.CodeNotFound, "SESSION_EXPIRED")
			}
			return
		}
		assert.LessOrEqual(t, m.GetAck().GetCommittedThrough(), committed)
	}
}

// resumeAndLeave resumes a session that may be ended by now, and stays until it is told to go.
func resumeAndLeave(t *testing.T, s *Server, w *engramv1.Welcome) {
	t.Helper()
	f := dial(t, s)
	if err := f.stream.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: resuming("faces", w)}}); err != nil {
		return
	}
	for {
		if _, err := f.stream.Receive(); err != nil {
			assert.Equal(t, connect.CodeNotFound, connect.CodeOf(err), "%v", err)
			return
		}
	}
}
