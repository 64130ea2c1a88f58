package journal

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/session"
)

// A takeover that the disk refuses is taken back: the older stream serves its session on, and the session does not expire
// under it, however long it is silent.
func TestAFailedTakeoverLeavesTheStreamThatWasThere(t *testing.T) {
	disk := &faulty{}
	o := testOptions(errorfs.Wrap(vfs.NewMem(), disk))
	var skew atomic.Int64
	o.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	s := opened(t, o)
	a, g := attached(t, s, "faces")
	stored(t, s, observation(a, 1, 3))

	disk.fail(errorfs.OpFileSyncData, 1, syscall.EIO)
	_, err := s.OpenSession(t.Context(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
	require.ErrorIs(t, err, syscall.EIO)
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{1, 0}, []int{live, detached})

	again(t, s, observation(a, 2, 3))
	skew.Store(int64(2 * time.Hour))
	n, err := s.sweepOnce(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	stored(t, s, observation(a, 3, 3))

	s.DetachSession(g.SessionID, 1)
	_, live, detached = s.JournalStats()
	require.Equal(t, []int{0, 1}, []int{live, detached})
}

// stalling is a disk whose next sync waits for the gate, and then fails.
type stalling struct {
	next    atomic.Bool
	gate    chan struct{}
	failure error
}

// MaybeError implements errorfs.Injector.
func (d *stalling) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpFileSyncData && d.next.CompareAndSwap(true, false) {
		<-d.gate
		return d.failure
	}
	return nil
}

// String implements errorfs.Injector.
func (d *stalling) String() string { return "stalling" }

// takeover begins to resume a session, and returns once that has been decided and waits for the disk.
func takeover(ctx context.Context, t *testing.T, s *Store, g session.Grant, epoch uint64) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := s.OpenSession(ctx, session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
		ended <- err
	}()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.state.sessions[g.SessionID].epoch == epoch
	}, 10*time.Second, time.Millisecond)
	return ended
}

// While a takeover is on its way to the disk, the stream that is there is held off, not superseded: it goes on if the
// takeover fails, and is superseded once it is durable.
func TestATakeoverCountsOnceItIsDurable(t *testing.T) {
	for name, failure := range map[string]error{"durable": nil, "failed": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			disk := &stalling{failure: failure, gate: make(chan struct{})}
			s := opened(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
			a, g := attached(t, s, "faces")
			stored(t, s, observation(a, 1, 3))
			disk.next.Store(true)
			resumed := takeover(t.Context(), t, s, g, 2)
			v := offered(s, observation(a, 2, 3))
			require.NotNil(t, v.refusal)
			require.Equal(t, session.Nacked, v.refusal.Verdict)
			require.EqualValues(t, 2, v.refusal.Expected)
			require.NotZero(t, v.refusal.Retry)
			require.True(t, v.refusal.Late)
			close(disk.gate)
			require.ErrorIs(t, <-resumed, failure)
			if failure != nil {
				again(t, s, observation(a, 2, 3))
				return
			}
			v = offered(s, observation(a, 2, 3))
			require.Equal(t, session.ErrSuperseded, v.refusal)
		})
	}
}

// However many takeovers are under way, given up by their clients or not: as long as none is durable, the stream that is
// there is held off, and it serves on when all of them fail.
func TestSeveralTakeoversThatFail(t *testing.T) {
	for _, givenUp := range []bool{false, true} {
		t.Run(fmt.Sprint("given up ", givenUp), func(t *testing.T) {
			disk := &stalling{failure: syscall.EIO, gate: make(chan struct{})}
			s := opened(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
			a, g := attached(t, s, "faces")
			stored(t, s, observation(a, 1, 3))
			disk.next.Store(true)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var failed []<-chan error
			for epoch := range uint64(3) {
				failed = append(failed, takeover(ctx, t, s, g, epoch+2))
			}
			v := offered(s, observation(a, 2, 3))
			require.Equal(t, session.Nacked, v.refusal.Verdict)
			want := error(syscall.EIO)
			if givenUp {
				want = context.Canceled
				cancel()
			} else {
				close(disk.gate)
			}
			for _, f := range failed {
				require.ErrorIs(t, <-f, want)
			}
			if givenUp {
				close(disk.gate)
			}
			again(t, s, observation(a, 2, 3))
			_, live, detached := s.JournalStats()
			require.Equal(t, []int{1, 0}, []int{live, detached})
		})
	}
}

// A stream that left while it was being taken over is not thought to be there when the takeover fails.
func TestAFailedTakeoverOfAStreamThatLeft(t *testing.T) {
	disk := &stalling{failure: syscall.EIO, gate: make(chan struct{})}
	s := opened(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
	a, g := attached(t, s, "faces")
	stored(t, s, observation(a, 1, 3))
	disk.next.Store(true)
	failed := takeover(t.Context(), t, s, g, 2)
	s.DetachSession(g.SessionID, 1)
	close(disk.gate)
	require.ErrorIs(t, <-failed, syscall.EIO)
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{0, 1}, []int{live, detached})
}
