package app

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Memories are forgotten by age: by when they were observed, and where nobody said, by when they were received. What
// follows a forget in its session stays, however old; and a restart forgets the same.
func TestForgettingByAge(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	cut := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	aged := func(id string, at time.Time) *engramv1.Observation {
		o := &engramv1.Observation{MemoryId: id, Embedding: []float32{1, 0}}
		if !at.IsZero() {
			o.ObservedAt = timestamppb.New(at)
		}
		return o
	}
	before := &engramv1.ForgetTarget{ObservedBefore: timestamppb.New(cut)}
	f, _ := join(t, s, faces())
	f.observe(1, aged("old", cut.Add(-time.Nanosecond)), aged("new", cut), aged("unsaid", time.Time{}), aged("ancient", cut.AddDate(-2000, 0, 0)))
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Forget{Forget: &engramv1.ForgetOp{Sequence: 5, Target: before}}})
	f.observe(6, aged("late", cut.Add(-time.Hour)), aged("later", cut.Add(-time.Minute)))
	f.ack(7)
	assert.ElementsMatch(t, []string{"new", "unsaid", "late", "later"}, idsIn(t, s, "faces"))

	forget := func(target, more string) string {
		status, _, answer := curl(t, s, "MemoryService/Forget", fmt.Sprintf(`{"space":"faces","target":%s%s}`, target, more))
		require.Equal(t, http.StatusOK, status, answer)
		return fmt.Sprint(answer["matched"])
	}
	both := `{"memoryIds":["late","new","none","late"],"observedBefore":"2026-01-01T00:00:00Z"}`
	assert.Equal(t, "1", forget(both, `,"dryRun":true`))
	assert.Equal(t, "2", forget(`{"observedBefore":"2026-01-01T00:00:00Z"}`, `,"dryRun":true`))
	assert.Len(t, idsIn(t, s, "faces"), 4, "a dry run removes nothing")
	assert.Equal(t, "1", forget(both, ""))
	assert.ElementsMatch(t, []string{"new", "unsaid", "later"}, idsIn(t, s, "faces"))
	assert.Equal(t, "3", forget(`{"observedBefore":"2200-01-01T00:00:00Z"}`, ""), "received now is earlier too")
	assert.Empty(t, idsIn(t, s, "faces"))

	f.goodbye(true)
	f.ended()
	stop(t, s)
	s = startServer(t, dir)
	assert.Empty(t, idsIn(t, s, "faces"))
	status, _, answer := curl(t, s, "MemoryService/Forget", `{"space":"faces","target":{}}`)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, answer["message"], "observed_before")
}

func idsIn(t *testing.T, s *Server, space string) []string {
	t.Helper()
	ids := []string{}
	for _, hit := range recallIn(t, s, space, 1, 0) {
		ids = append(ids, hit.GetMemoryId())
	}
	return ids
}
