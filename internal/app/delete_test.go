package app

import (
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

func deleteSpace(t *testing.T, admin engramv1connect.AdminServiceClient, name string) error {
	t.Helper()
	_, err := admin.DeleteSpace(t.Context(), connect.NewRequest(&engramv1.DeleteSpaceRequest{Name: name}))
	return err
}

// A space is deleted under the streams that write to it: they are told, what was in it is gone, and the name is free for
// another space, of another dimension, now and after a restart.
func TestASpaceIsDeletedUnderLiveSessions(t *testing.T) {
	eachProtocol(t, func(t *testing.T, s *Server, admin engramv1connect.AdminServiceClient, options ...connect.ClientOption) {
		a, first := join(t, s, &engramv1.Hello{Space: "a"}, options...)
		b, _ := join(t, s, &engramv1.Hello{Space: "b"}, options...)
		a.observe(1, seen("x", 1, 0), seen("y", 0, 1))
		a.ack(2)
		b.observe(1, seen("z", 1, 0))
		b.ack(1)
		once := `{"space":"a","requestId":"r","observations":[{"embedding":[1,1]}]}`
		curl(t, s, "MemoryService/Observe", once)

		token := firstPage(t, s, "a").GetNextPageToken()
		require.NotEmpty(t, token)
		requireRefused(t, deleteSpace(t, admin, "nowhere"), connect.CodeNotFound, "SPACE_NOT_FOUND")
		require.NoError(t, deleteSpace(t, admin, "a"))
		away := until(a, (*engramv1.MemoryFlowResponse).GetGoAway)
		assert.Equal(t, engramv1.GoAway_REASON_ENDED, away.GetReason())
		failure := a.failure()
		requireRefused(t, failure, connect.CodeNotFound, "SESSION_EXPIRED")
		assert.Contains(t, failure.Message(), `space "a" has been deleted`)
		requireRefused(t, deleteSpace(t, admin, "a"), connect.CodeNotFound, "SPACE_NOT_FOUND")
		status, _, _ := curl(t, s, "MemoryService/Recall", `{"space":"a","query":{"embedding":[1,0]}}`)
		assert.Equal(t, http.StatusNotFound, status)
		again := dial(t, s, options...)
		again.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: resuming("a", first)}})
		requireRefused(t, again.failure(), connect.CodeNotFound, "SESSION_EXPIRED")

		_, _, answer := curl(t, s, "MemoryService/Observe", once)
		assert.NotContains(t, answer, "duplicate", "the first one's answer went with its space")
		assert.Equal(t, "1", answer["commitVersion"])
		_, err := memoryClient(t, s).ListMemories(t.Context(), connect.NewRequest(&engramv1.ListMemoriesRequest{Space: "a", PageToken: token}))
		requireRefused(t, err, connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN")
		b.observe(2, seen("w", 0, 1))
		b.ack(2)
		require.NoError(t, deleteSpace(t, admin, "a"))
		other, _ := join(t, s, &engramv1.Hello{Space: "a"}, options...)
		other.observe(1, seen("three", 1, 0, 0))
		other.ack(1)
		counted := stats(t, s)
		assert.Equal(t, counted.GetOffered(), counted.GetAccepted(), "each item had its verdict, and none was refused")
		dir := s.DataDir()
		other.goodbye(true)
		b.goodbye(true)
		other.ended()
		b.ended()
		stop(t, s)

		s = startServer(t, dir)
		hits := recallIn(t, s, "a", 1, 0, 0)
		require.Len(t, hits, 1)
		assert.Equal(t, "three", hits[0].GetContent())
		assert.Len(t, recallIn(t, s, "b", 1, 0), 2)
	})
}

func firstPage(t *testing.T, s *Server, space string) *engramv1.ListMemoriesResponse {
	t.Helper()
	page, err := memoryClient(t, s).ListMemories(t.Context(), connect.NewRequest(&engramv1.ListMemoriesRequest{Space: space, PageSize: 1}))
	require.NoError(t, err)
	return page.Msg
}

func recallIn(t *testing.T, s *Server, space string, vector ...float32) []*engramv1.Hit {
	t.Helper()
	r, err := memoryClient(t, s).Recall(t.Context(), connect.NewRequest(&engramv1.RecallRequest{
		Space: space, Query: &engramv1.RecallQuery{Embedding: vector, IncludeContent: true},
	}))
	require.NoError(t, err)
	return r.Msg.GetHits()
}

// While writers go on, a space that is deleted again and again has no memory from before in it: whoever writes to it either
// finds what it was acked, or finds that its space is another one by now.
func TestDeletingUnderLoadMixesNothing(t *testing.T) {
	s := startServer(t, t.TempDir())
	admin := engramv1connect.NewAdminServiceClient(h2c(t), "http://"+s.Address())
	var writers sync.WaitGroup
	for range 3 {
		writers.Go(func() {
			m := memoryClient(t, s)
			for range 60 {
				_, err := m.Observe(t.Context(), connect.NewRequest(&engramv1.ObserveRequest{
					Space: "a", Observations: []*engramv1.Observation{seen("x", 1, 0), seen("y", 0, 1)},
				}))
				if err != nil {
					assert.Contains(t, []connect.Code{connect.CodeUnavailable, connect.CodeNotFound}, connect.CodeOf(err), "%v", err)
				}
			}
		})
	}
	for range 20 {
		if err := deleteSpace(t, admin, "a"); err != nil {
			requireRefused(t, err, connect.CodeNotFound, "SPACE_NOT_FOUND")
		}
		r, err := admin.ListSpaces(t.Context(), connect.NewRequest(&engramv1.ListSpacesRequest{}))
		require.NoError(t, err)
		for _, sp := range r.Msg.GetSpaces() {
			assert.LessOrEqual(t, sp.GetMemories(), sp.GetCommittedVersion(), "it counts memories from before")
		}
	}
	writers.Wait()
	if err := deleteSpace(t, admin, "a"); err != nil {
		requireRefused(t, err, connect.CodeNotFound, "SPACE_NOT_FOUND")
	}
	_, _, answer := curl(t, s, "MemoryService/Observe", `{"space":"a","observations":[{"memoryId":"last","embedding":[1,1,1]}]}`)
	assert.Equal(t, "1", answer["commitVersion"])
	hits := recallIn(t, s, "a", 1, 1, 1)
	require.Len(t, hits, 1)
	counted := stats(t, s)
	assert.Equal(t, counted.GetOffered(), counted.GetAccepted()+counted.GetNacked()+counted.GetSuperseded()+counted.GetAborted())
}
