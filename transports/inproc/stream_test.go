package inproc

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// The streams themselves are tested with the scenarios that all transports run; here is what transports.Conn promises.

func TestAConnAfterItsEnd(t *testing.T) {
	c := newConn(t.Context(), 1<<10)
	c.up <- &engramv1.MemoryFlowRequest{}
	c.CloseRead()
	c.CloseRead()
	_, err := c.Recv()
	require.Error(t, err, "a frame that waits is not read any more")
	require.NoError(t, c.Send(&engramv1.MemoryFlowResponse{}), "what is sent is not disturbed")
	c.Abort()
	c.Abort()
	require.Error(t, c.Send(&engramv1.MemoryFlowResponse{}))
	_, err = c.Recv()
	require.Error(t, err)
}

func TestWhatWaitsIsWoken(t *testing.T) {
	for name, wake := range map[string]func(*conn, context.CancelFunc){
		"abort":  func(c *conn, _ context.CancelFunc) { c.Abort() },
		"cancel": func(_ *conn, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c := newConn(ctx, 1<<10)
				ended := make(chan error, 2)
				go func() { _, err := c.Recv(); ended <- err }()
				go func() {
					var err error
					for err == nil { // nobody takes them
						err = c.Send(&engramv1.MemoryFlowResponse{})
					}
					ended <- err
				}()
				synctest.Wait()
				assert.Empty(t, ended)
				assert.Len(t, c.down, frames)
				wake(c, cancel)
				require.Error(t, <-ended)
				require.Error(t, <-ended)
			})
		})
	}
}

func TestAServerThatIsNotReadySaysSo(t *testing.T) {
	refusal := fault.New(fault.Unavailable, "replaying")
	client := (&Source{}).Connect(Options{Ready: func() error { return refusal }})
	s := client.MemoryFlow(t.Context())
	for range 2 { // and says the same again
		_, err := s.Receive()
		require.ErrorIs(t, err, refusal)
	}
	require.ErrorIs(t, s.Send(&engramv1.MemoryFlowRequest{}), io.EOF)
	_, err := client.Recall(t.Context(), &engramv1.RecallRequest{})
	require.ErrorIs(t, err, refusal)
}

func TestErrorsSayTheirKind(t *testing.T) {
	known := fault.New(fault.NotFound, "gone")
	for err, kind := range map[error]fault.Kind{
		known: fault.NotFound, context.Canceled: fault.Canceled, context.DeadlineExceeded: fault.DeadlineExceeded,
		errors.New("a bug"): fault.Internal,
	} {
		assert.Equal(t, kind, fault.KindOf(told(err)), err)
	}
	assert.NoError(t, told(nil))
}
