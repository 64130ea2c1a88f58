package transports

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func TestViolationsNameTheirFields(t *testing.T) {
	require.NoError(t, Validate(&engramv1.GetRequest{Space: "notes", MemoryIds: []string{"a"}}))

	err := Validate(&engramv1.ObserveRequest{Space: "Notes!"})
	assert.Equal(t, fault.InvalidArgument, fault.KindOf(err))
	assert.Equal(t, "space", fault.As(err).Field)
	assert.Equal(t, 1, strings.Count(err.Error(), "space:"), "the field is said once: %v", err)
	assert.Contains(t, err.Error(), "observations: ", "and every other with its own: %v", err)

	r := &engramv1.ObserveRequest{Space: "notes"}
	for range 3 * maxViolations {
		r.Observations = append(r.Observations, &engramv1.Observation{MemoryId: strings.Repeat("x", 200)})
	}
	err = Validate(r)
	assert.Equal(t, maxViolations, strings.Count(err.Error(), "memory_id"))
	assert.True(t, strings.HasSuffix(err.Error(), "and more"))
}
