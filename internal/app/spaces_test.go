package app

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Whichever call would make one space too many, it is refused alike.
func TestASpaceTooManyIsRefusedWithATimeToRetry(t *testing.T) {
	s := startServer(t, t.TempDir(), flag("limits.spaces", "1"))
	status, _, _ := curl(t, s, "AdminService/CreateSpace", `{"space":{"name":"a","dimension":2}}`)
	assert.Equal(t, http.StatusOK, status)
	for method, body := range map[string]string{
		"AdminService/CreateSpace": `{"space":{"name":"b","dimension":2}}`,
		"MemoryService/Observe":    `{"space":"b","observations":[{"embedding":[1,0]}]}`,
	} {
		status, header, answer := curl(t, s, method, body)
		assert.Equal(t, http.StatusTooManyRequests, status, method)
		assert.Equal(t, "5", header.Get("Retry-After"), method)
		assert.Contains(t, answer["message"], "the limit is 1", method)
	}
}

// Two sessions open while there is room for one space more; the second one's first write finds none.
func TestAWriteThatFindsNoRoomForItsSpaceIsNacked(t *testing.T) {
	s := startServer(t, t.TempDir(), flag("limits.spaces", "1"))
	a, _ := join(t, s, &engramv1.Hello{Space: "a"})
	b, _ := join(t, s, &engramv1.Hello{Space: "b"})
	a.observe(1, seen("x", 1, 0))
	a.ack(1)
	b.observe(1, seen("y", 1, 0))
	nack := until(b, (*engramv1.MemoryFlowResponse).GetNack)
	assert.EqualValues(t, 1, nack.GetExpectedSequence())
	assert.Equal(t, engramv1.Nack_REASON_RESOURCE_EXHAUSTED, nack.GetReason())
	assert.Contains(t, nack.GetMessage(), "limit is 1")
}
