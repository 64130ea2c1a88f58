package app

import (
	"context"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// watched is an open watch.
type watched struct {
	t      *testing.T
	stream *connect.ServerStreamForClient[engramv1.WatchResponse]
}

func watch(t *testing.T, s *Server, r *engramv1.WatchRequest, options ...connect.ClientOption) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	flow := engramv1connect.NewFlowServiceClient(h2c(t), "http://"+s.Address(), options...)
	stream, err := flow.Watch(ctx, connect.NewRequest(r))
	require.NoError(t, err)
	return &watched{t: t, stream: stream}
}

func (w *watched) next() *engramv1.WatchResponse {
	w.t.Helper()
	require.True(w.t, w.stream.Receive(), "%v", w.stream.Err())
	return w.stream.Msg()
}

// ids reads events until so many memories have been told, each as "+id" or "-id".
func (w *watched) ids(n int) (told []string, last *engramv1.WatchResponse_Event) {
	w.t.Helper()
	for len(told) < n {
		if last = w.next().GetEvent(); last == nil {
			continue
		}
		sign := map[engramv1.EventKind]string{engramv1.EventKind_EVENT_KIND_STORED: "+", engramv1.EventKind_EVENT_KIND_FORGOTTEN: "-"}[last.GetKind()]
		for _, id := range last.GetMemoryIds() {
			told = append(told, sign+id)
		}
	}
	return told, last
}

func (w *watched) ends() error {
	w.t.Helper()
	for w.stream.Receive() {
	}
	return w.stream.Err()
}

// Whoever watches a space learns of what is stored and forgotten, in order, from where it asks, over every protocol; after
// a restart it goes on where it was; and it is told when the space goes, or the server.
func TestASpaceIsWatched(t *testing.T) {
	eachProtocol(t, func(t *testing.T, s *Server, admin engramv1connect.AdminServiceClient, options ...connect.ClientOption) {
		err := watch(t, s, &engramv1.WatchRequest{Space: "a"}, options...).ends()
		requireRefused(t, err, connect.CodeNotFound, "SPACE_NOT_FOUND")
		named := func(id string) *engramv1.Observation {
			return &engramv1.Observation{MemoryId: id, Embedding: []float32{1, 0}}
		}
		f, _ := join(t, s, &engramv1.Hello{Space: "a"}, options...)
		f.observe(1, named("x"), named("y"), seen("bad", 1))
		f.ack(3)
		w := watch(t, s, &engramv1.WatchRequest{Space: "a"}, options...)
		started := w.next().GetStarted()
		assert.EqualValues(t, 3, started.GetVersion())
		f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Forget{Forget: &engramv1.ForgetOp{
			Sequence: 4, Target: &engramv1.ForgetTarget{MemoryIds: []string{"y", "none"}},
		}}})
		f.observe(5, named("x"))
		f.ack(5)
		told, last := w.ids(2)
		assert.Equal(t, []string{"-y", "+x"}, told)
		assert.EqualValues(t, 5, last.GetVersion())
		assert.True(t, last.GetAt().IsValid())
		told, _ = watch(t, s, &engramv1.WatchRequest{Space: "a", FromStart: true}, options...).ids(4)
		assert.Equal(t, []string{"+x", "+y", "-y", "+x"}, told)

		dir := s.DataDir()
		f.goodbye(true)
		f.ended()
		stopped := make(chan error, 1)
		go func() { stopped <- w.ends() }()
		stop(t, s)
		requireRefused(t, <-stopped, connect.CodeUnavailable, "SHUTDOWN")
		s = startServer(t, dir)
		w = watch(t, s, &engramv1.WatchRequest{Space: "a", FromVersion: 1, Incarnation: started.GetIncarnation()}, options...)
		told, _ = w.ids(3)
		assert.Equal(t, []string{"+y", "-y", "+x"}, told)

		require.NoError(t, deleteSpace(t, engramv1connect.NewAdminServiceClient(h2c(t), "http://"+s.Address(), options...), "a"))
		requireRefused(t, w.ends(), connect.CodeNotFound, "SPACE_NOT_FOUND")
		curl(t, s, "MemoryService/Observe", `{"space":"a","observations":[{"embedding":[1,1]}]}`)
		err = watch(t, s, &engramv1.WatchRequest{Space: "a", FromVersion: 1, Incarnation: started.GetIncarnation()}, options...).ends()
		requireRefused(t, err, connect.CodeNotFound, "SPACE_DELETED")
	})
}

// A forget of more than one event holds is told in several, each with the same version and all but the last with more.
func TestALargeForgetIsToldInParts(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, _ := join(t, s, faces())
	batch := make([]*engramv1.Observation, 700)
	for i := range batch {
		batch[i] = &engramv1.Observation{MemoryId: fmt.Sprint(i), Embedding: []float32{1, 0}}
	}
	f.observe(1, batch...)
	f.ack(700)
	w := watch(t, s, &engramv1.WatchRequest{Space: "faces", Kinds: []engramv1.EventKind{engramv1.EventKind_EVENT_KIND_FORGOTTEN}})
	require.NotNil(t, w.next().GetStarted())
	status, _, _ := curl(t, s, "MemoryService/Forget", `{"space":"faces","target":{"observedBefore":"2200-01-01T00:00:00Z"}}`)
	require.Equal(t, 200, status)
	told := 0
	for more := true; more; {
		if e := w.next().GetEvent(); e != nil {
			assert.EqualValues(t, 701, e.GetVersion())
			told += len(e.GetMemoryIds())
			more = e.GetMore()
		}
	}
	assert.Equal(t, 700, told)
}
