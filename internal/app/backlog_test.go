package app

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// TestAStopAppliesAllThatWasReceived: ten thousand observations, of as many spaces as there are streams, and nobody waits
// for their acks. All are stored when the server has stopped, and that takes less than five seconds.
func TestAStopAppliesAllThatWasReceived(t *testing.T) {
	const streams, frames, items = 10, 10, 100
	dir := t.TempDir()
	s := startServer(t, dir)
	frame := make([]*engramv1.Observation, items)
	for i := range frame {
		frame[i] = seen(fmt.Sprint(i), benchVector(i)...)
	}
	flows := make([]*flow, streams)
	for i := range flows {
		flows[i], _ = join(t, s, &engramv1.Hello{Space: fmt.Sprintf("space-%d", i)})
	}
	for n := range uint64(frames) {
		for _, f := range flows {
			f.observe(n*items+1, frame...)
		}
	}
	require.Eventually(t, func() bool {
		g := s.hub.Tally()
		return g.Offered+g.InFlight == streams*frames*items
	}, time.Minute, time.Millisecond)
	began := time.Now()
	require.NoError(t, s.Stop(context.Background()))
	assert.Less(t, time.Since(began), 5*time.Second)
	again := startServer(t, dir)
	assert.EqualValues(t, streams*frames*items, stats(t, again).GetCommitted())
}
