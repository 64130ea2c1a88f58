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
	"github.com/engram-stream/engram/internal/session"
)

func TestResumeIsRefusedWithAReason(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	a, g := attached(t, s, "faces")
	require.Regexp(t, "^s[a-z2-7]{26}$", g.SessionID)
	require.Len(t, g.Token, 16)
	require.Equal(t, time.Hour, g.DetachTTL)
	require.Equal(t, "faces", g.Space.Name)
	stored(t, s, observations(a, 1, 3, 2)...)
	for name, c := range map[string]struct {
		q    session.OpenRequest
		kind fault.Kind
		says string
	}{
		"unknown":      {session.OpenRequest{Space: "faces", SessionID: "sx", Token: g.Token}, fault.NotFound, "unknown or has expired"},
		"wrong token":  {session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: []byte("guess")}, fault.PermissionDenied, "token"},
		"no token":     {session.OpenRequest{Space: "faces", SessionID: g.SessionID}, fault.PermissionDenied, "token"},
		"wrong space":  {session.OpenRequest{Space: "birds", SessionID: g.SessionID, Token: g.Token}, fault.FailedPrecondition, `belongs to space "faces", not to "birds"`},
		"ahead":        {session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token, LastCommitted: 4}, fault.FailedPrecondition, "saw 4 committed, the server has 3"},
		"ttl too low":  {session.OpenRequest{Space: "faces", DetachTTL: time.Second}, fault.InvalidArgument, "detach_ttl"},
		"ttl too high": {session.OpenRequest{Space: "faces", DetachTTL: 8 * 24 * time.Hour}, fault.InvalidArgument, "detach_ttl"},
	} {
		_, err := s.OpenSession(context.Background(), c.q)
		require.Equal(t, c.kind, fault.KindOf(err), name)
		require.ErrorContains(t, err, c.says, name)
	}
	_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: "sx"})
	require.Equal(t, "SESSION_EXPIRED", fault.As(err).Reason)
	stored(t, s, observation(a, 4, 2)) // none of it touched the session
}

func TestSessionsSurviveARestart(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	a, g := attached(t, s, "faces")
	stored(t, s, observations(a, 1, 5, 2)...)
	for epoch := uint64(2); epoch < 5; epoch++ {
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
		_, live, detached := s.JournalStats()
		require.Equal(t, []int{0, 1}, []int{live, detached})
		r, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token, LastCommitted: 1})
		require.NoError(t, err)
		require.Equal(t, epoch, r.Epoch)
		require.Equal(t, 3+epoch, r.Committed)
		a = attachment(r, "faces")
		stored(t, s, observation(a, 4+epoch, 2))
		_, live, detached = s.JournalStats()
		require.Equal(t, []int{1, 0}, []int{live, detached})
	}
	require.Equal(t, 8, ofSession(t, replayed(t, s), a, 2))
	require.NoError(t, s.Close())
}

func TestEndAndDetachObeyTheEpoch(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	_, g := attached(t, s, "faces")
	q := session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token}
	_, err := s.OpenSession(context.Background(), q)
	require.NoError(t, err)
	s.DetachSession(g.SessionID, 1) // the fenced stream ends late
	_, live, _ := s.JournalStats()
	require.Equal(t, 1, live)
	require.Equal(t, fault.Aborted, fault.KindOf(s.EndSession(context.Background(), g.SessionID, 1)))
	s.DetachSession(g.SessionID, 2)
	s.DetachSession("unknown", 1)
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{0, 1}, []int{live, detached})
	require.NoError(t, s.EndSession(context.Background(), g.SessionID, 2))
	_, live, detached = s.JournalStats()
	require.Equal(t, []int{0, 0}, []int{live, detached})
	require.Equal(t, fault.NotFound, fault.KindOf(s.EndSession(context.Background(), g.SessionID, 2)))
	_, err = s.OpenSession(context.Background(), q)
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

// A session that nobody resumes ends, durably, after its time to live; counted anew with each op that still arrives, and
// from the start of the process after a restart.
func TestDetachedSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(vfs.NewMem())
		s := mustOpen(t, o)
		g, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", DetachTTL: 2 * time.Minute})
		require.NoError(t, err)
		_, other := attached(t, s, "faces") // stays attached
		q := session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token}
		s.DetachSession(g.SessionID, 1)
		time.Sleep(119 * time.Second)
		stored(t, s, observation(attachment(g, "faces"), 1, 2)) // on its way when the stream ended
		time.Sleep(119 * time.Second)
		resumed, err := s.OpenSession(context.Background(), q)
		require.NoError(t, err)
		s.DetachSession(resumed.SessionID, 2)
		require.NoError(t, s.Close())

		time.Sleep(time.Hour) // the server is down
		s = mustOpen(t, o)
		time.Sleep(119 * time.Second)
		_, _, detached := s.JournalStats()
		require.Equal(t, 2, detached)
		time.Sleep(2 * time.Second) // expired, and the sweeper has not come by yet
		_, err = s.OpenSession(context.Background(), q)
		require.Equal(t, "SESSION_EXPIRED", fault.As(err).Reason)
		time.Sleep(sweepEvery)
		synctest.Wait()
		_, _, detached = s.JournalStats()
		require.Equal(t, 1, detached)
		require.NoError(t, s.Close())

		s = mustOpen(t, o) // its end was durable
		_, err = s.OpenSession(context.Background(), q)
		require.Equal(t, "SESSION_EXPIRED", fault.As(err).Reason)
		_, err = s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: other.SessionID, Token: other.Token})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	})
}

// An expiry that the disk refuses is taken back: the session lives on for another time to live, and then goes.
func TestFailedExpiryIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		s := mustOpen(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
		_, g := attached(t, s, "faces")
		s.DetachSession(g.SessionID, 1)
		disk.fail(errorfs.OpFileSyncData, 1, syscall.EIO)
		time.Sleep(time.Hour + 2*sweepEvery)
		synctest.Wait()
		_, live, detached := s.JournalStats()
		require.Equal(t, []int{0, 1}, []int{live, detached})
		time.Sleep(time.Hour + 2*sweepEvery)
		synctest.Wait()
		_, live, detached = s.JournalStats()
		require.Equal(t, []int{0, 0}, []int{live, detached})
		require.NoError(t, s.Close())
	})
}

// Beyond the limit of detached sessions those nearest to their expiry go.
func TestDetachedSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(vfs.NewMem())
		o.MaxDetached = 300
		s := mustOpen(t, o)
		var grants []session.Grant
		for range 1000 {
			_, g := attached(t, s, "faces")
			grants = append(grants, g)
		}
		for _, g := range grants {
			s.DetachSession(g.SessionID, 1)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		_, live, detached := s.JournalStats()
		require.Equal(t, []int{0, 300}, []int{live, detached})
		resume := func(g session.Grant) error {
			_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
			return err
		}
		require.Equal(t, fault.NotFound, fault.KindOf(resume(grants[699])))
		require.NoError(t, resume(grants[700]))
		require.NoError(t, s.Close())
	})
}

// A client that gives up while its session is being opened leaves it detached, not attached for ever.
func TestAbandonedOpenIsDetached(t *testing.T) {
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-gate
		}
		return nil
	}))
	s := opened(t, testOptions(fs))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-entered
		cancel()
	}()
	_, err := s.OpenSession(ctx, session.OpenRequest{Space: "faces"})
	require.Equal(t, fault.Canceled, fault.KindOf(err))
	close(gate)
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{0, 1}, []int{live, detached})
}
