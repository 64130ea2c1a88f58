package transports

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// What was rejected and could not be told must stay resumable: only the journal knows it.
func TestGoodbyeDoesNotEndASessionThatOverflowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		h.pipeline.rejected["bad"] = memory.Rejection{Code: 3, Reason: "bad"}
		w := &wire{
			in: make(chan *engramv1.MemoryFlowRequest, 64), out: make(chan *engramv1.MemoryFlowResponse),
			readClosed: make(chan struct{}), aborted: make(chan struct{}), result: make(chan error, 1),
		}
		go func() { w.result <- h.Flow(t.Context(), w) }()
		w.in <- helloFrame("faces")
		require.NotNil(t, (<-w.out).GetWelcome())
		const batches = 8
		for b := range batches {
			contents := make([]string, 1024)
			for i := range contents {
				contents[i] = []string{"good", "bad"}[i%2]
			}
			w.in <- observeFrame(uint64(1+1024*b), contents...)
		}
		w.in <- goodbyeFrame(true)
		synctest.Wait()
		h.pipeline.release()
		told := 0
		var closed *engramv1.Closed
		for closed == nil {
			select {
			case m := <-w.out:
				told += len(m.GetAck().GetRejected())
				closed = m.GetClosed()
				continue
			case err := <-w.result:
				t.Log("ended with", err)
			}
			break
		}
		t.Logf("told %d of %d rejected; closed: %v; ended: %v", told, 512*batches, closed, h.journal.ended)
		require.Less(t, told, 512*batches)
		assert.Empty(t, h.journal.ended, "the session is gone, and with it what was rejected")
		assert.False(t, closed.GetSessionEnded())
	})
}
