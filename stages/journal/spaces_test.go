package journal

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// A space whose creation is on its way to the disk stands in nobody's way for good: who wants another shape waits for it,
// and gets its own if it fails.
func TestASpaceStandsOnceItIsDurable(t *testing.T) {
	for name, failure := range map[string]error{"durable": nil, "failed": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { createWhileAnotherIsUndecided(t, failure) })
		})
	}
}

func createWhileAnotherIsUndecided(t *testing.T, failure error) {
	disk := &stalling{failure: failure, gate: make(chan struct{})}
	s := mustOpen(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
	defer func() { require.NoError(t, s.Close()) }()
	_, err := s.CreateSpace(t.Context(), memory.Space{Name: "warm", Dimension: 2})
	require.NoError(t, err)
	disk.next.Store(true)
	first, second := make(chan error, 1), make(chan error, 1)
	create := func(to chan error, dimension int) {
		_, err := s.CreateSpace(context.Background(), memory.Space{Name: "faces", Dimension: dimension})
		to <- err
	}
	go create(first, 3)
	synctest.Wait()
	go create(second, 4)
	synctest.Wait()
	sp, ok := s.Space("faces")
	require.True(t, ok)
	require.False(t, sp.Settled)
	require.Equal(t, 3, sp.Dimension)

	close(disk.gate)
	require.ErrorIs(t, <-first, failure)
	err = <-second
	if failure == nil {
		require.Equal(t, fault.AlreadyExists, fault.KindOf(err))
	} else if err != nil { // tried again too soon after the failure
		require.Equal(t, fault.StorageUnavailable, fault.KindOf(err))
		time.Sleep(fault.As(err).RetryAfter)
		create(second, 4)
		require.NoError(t, <-second)
	}
	sp, ok = s.Space("faces")
	require.True(t, ok)
	require.True(t, sp.Settled)
	require.Equal(t, map[bool]int{true: 3, false: 4}[failure == nil], sp.Dimension)
}
