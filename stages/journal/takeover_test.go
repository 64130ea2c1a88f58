package journal

import (
	"context"
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
			resumed := make(chan error, 1)
			go func() {
				_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
				resumed <- err
			}()
			require.Eventually(t, func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.state.sessions[g.SessionID].epoch == 2
			}, 10*time.Second, time.Millisecond)
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
