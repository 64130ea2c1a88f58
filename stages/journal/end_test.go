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

func resumeOf(g session.Grant) session.OpenRequest {
	return session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token}
}

func requireGone(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
	require.Equal(t, "SESSION_EXPIRED", fault.As(err).Reason)
}

// A dismissed session is over for good: what was appended stays, nothing comes after, and no restart brings it back.
func TestADismissedSessionIsOver(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	a, g := attached(t, s, "faces")
	stored(t, s, observations(a, 1, 3, 2)...)
	_, err := s.DismissSession(t.Context(), "sx", nil)
	requireGone(t, err)
	_, err = s.DismissSession(t.Context(), g.SessionID, []byte("guess"))
	require.Equal(t, fault.PermissionDenied, fault.KindOf(err))
	stored(t, s, observation(a, 4, 2))

	ended, err := s.DismissSession(t.Context(), g.SessionID, g.Token)
	require.NoError(t, err)
	require.Equal(t, session.Status{
		SessionID: g.SessionID, Space: "faces", State: session.Ended, Epoch: 1, Committed: 4, Version: 4,
	}, ended)
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{0, 0}, []int{live, detached})
	for range 2 {
		v := offered(s, observation(a, 5, 2))
		require.Equal(t, session.Superseded, v.refusal.Verdict)
		requireGone(t, v.refusal.Cause)
		_, err = s.OpenSession(t.Context(), resumeOf(g))
		requireGone(t, err)
		_, err = s.Session(g.SessionID, nil)
		requireGone(t, err)
		_, err = s.DismissSession(t.Context(), g.SessionID, nil)
		requireGone(t, err)
		require.Equal(t, 4, ofSession(t, replayed(t, s), a, 2))
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}
	require.NoError(t, s.Close())
}

// A unary call's session is no session to its operators: they neither see nor end it.
func TestUnarySessionsAreNobodysToEnd(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	unary := &session.Attachment{SessionID: "r1", Space: "faces", Unary: true, Remember: true}
	stored(t, s, observation(unary, 1, 2))
	_, err := s.Session("r1", nil)
	requireGone(t, err)
	_, err = s.DismissSession(t.Context(), "r1", nil)
	requireGone(t, err)
	page, err := s.ListSessions(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, page)
}

// inBubble runs a test on virtual time, for the durable and for the failed fate of the sync that the disk stalls.
func inBubble(t *testing.T, test func(t *testing.T, s *Store, disk *stalling)) {
	t.Helper()
	for name, failure := range map[string]error{"durable": nil, "failed": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := &stalling{failure: failure, gate: make(chan struct{})}
				s := mustOpen(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
				defer func() { require.NoError(t, s.Close()) }()
				test(t, s, disk)
			})
		})
	}
}

// dismiss begins to end a session, and returns once that has been decided and waits for the disk.
func dismiss(ctx context.Context, s *Store, id string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := s.DismissSession(ctx, id, nil)
		ended <- err
	}()
	synctest.Wait()
	return ended
}

// requireHeldOff checks that an attachment is told to wait, and loses nothing.
func requireHeldOff(t *testing.T, s *Store, from *session.Attachment, expected uint64) {
	t.Helper()
	v := offered(s, observation(from, expected, 3))
	require.NotNil(t, v.refusal)
	require.Equal(t, session.Nacked, v.refusal.Verdict)
	require.Equal(t, expected, v.refusal.Expected)
	require.True(t, v.refusal.Late)
}

func requireServes(t *testing.T, s *Store, from *session.Attachment, next uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		v := offered(s, observation(from, next, 3))
		return v.refusal == nil && await(t.Context(), v.durable) == nil
	}, time.Minute, time.Millisecond)
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{1, 0}, []int{live, detached})
}

// While a session's end is on its way to the disk the session is neither there nor gone: its stream is held off, and who
// wants to resume or end it waits. If the disk refuses the end, the stream serves on, however long it is silent.
func TestAnEndCountsOnceItIsDurable(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, disk *stalling) {
		a, g := attached(t, s, "faces")
		stored(t, s, observation(a, 1, 3))
		disk.next.Store(true)
		ended := dismiss(t.Context(), s, g.SessionID)
		requireHeldOff(t, s, a, 2)
		seen, err := s.Session(g.SessionID, g.Token)
		require.NoError(t, err)
		require.Equal(t, session.Status{
			SessionID: g.SessionID, Space: "faces", State: session.Attached, Epoch: 1, Committed: 1, Version: 1,
		}, seen)
		goodbye, resumed := make(chan error, 1), make(chan error, 1)
		go func() { goodbye <- s.EndSession(context.Background(), g.SessionID, 1) }()
		synctest.Wait()
		require.Empty(t, goodbye)
		if disk.failure == nil {
			go func() { _, err := s.OpenSession(context.Background(), resumeOf(g)); resumed <- err }()
			synctest.Wait()
			require.Empty(t, resumed)
			close(disk.gate)
			require.NoError(t, <-ended)
			requireGone(t, <-goodbye)
			requireGone(t, <-resumed)
			_, live, detached := s.JournalStats()
			require.Equal(t, []int{0, 0}, []int{live, detached})
			return
		}
		close(disk.gate)
		require.ErrorIs(t, <-ended, syscall.EIO)
		require.Error(t, <-goodbye, "asked again while the disk takes nothing")
		requireServes(t, s, a, 2)
		time.Sleep(3 * time.Hour)
		_, err = s.Session(g.SessionID, nil)
		require.NoError(t, err, "it has expired under its stream")
	})
}

// A stream that leaves while its session is being ended leaves it detached, to be resumed if the disk refuses the end.
func TestAStreamThatLeavesAnEndingSession(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, disk *stalling) {
		_, g := attached(t, s, "faces")
		disk.next.Store(true)
		ended := dismiss(t.Context(), s, g.SessionID)
		s.DetachSession(g.SessionID, 1)
		close(disk.gate)
		require.ErrorIs(t, <-ended, disk.failure)
		_, live, detached := s.JournalStats()
		if disk.failure == nil {
			require.Equal(t, []int{0, 0}, []int{live, detached})
			return
		}
		require.Equal(t, []int{0, 1}, []int{live, detached})
		time.Sleep(time.Second) // the log takes writes again
		_, err := s.OpenSession(t.Context(), resumeOf(g))
		require.NoError(t, err)
	})
}

// An end while a takeover is on its way to the disk ends the newer epoch too; if the disk refuses both, the stream that
// was there first serves on, if it is there still.
func TestAnEndDuringATakeover(t *testing.T) {
	for name, leaves := range map[string]bool{"stays": false, "leaves": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *Store, disk *stalling) { endDuringTakeover(t, s, disk, leaves) })
		})
	}
}

func endDuringTakeover(t *testing.T, s *Store, disk *stalling, leaves bool) {
	a, g := attached(t, s, "faces")
	stored(t, s, observation(a, 1, 3))
	disk.next.Store(true)
	resumed := make(chan error, 1)
	go func() { _, err := s.OpenSession(context.Background(), resumeOf(g)); resumed <- err }()
	synctest.Wait()
	ended := dismiss(t.Context(), s, g.SessionID)
	requireHeldOff(t, s, a, 2)
	if leaves {
		s.DetachSession(g.SessionID, 1)
	}
	close(disk.gate)
	require.ErrorIs(t, <-resumed, disk.failure)
	require.ErrorIs(t, <-ended, disk.failure)
	_, live, detached := s.JournalStats()
	switch {
	case disk.failure == nil:
		require.Equal(t, []int{0, 0}, []int{live, detached})
		for epoch := range uint64(2) {
			a.Epoch = epoch + 1
			v := offered(s, observation(a, 2, 3))
			require.Equal(t, session.Superseded, v.refusal.Verdict)
			requireGone(t, v.refusal.Cause)
		}
	case leaves:
		require.Equal(t, []int{0, 1}, []int{live, detached})
	default:
		requireServes(t, s, a, 2)
	}
}

// A caller that gives up does not make an end half: the answer comes when the disk has spoken.
func TestAnEndOutlivesItsCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, disk *stalling) {
		_, g := attached(t, s, "faces")
		disk.next.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := dismiss(ctx, s, g.SessionID)
		cancel()
		synctest.Wait()
		require.Empty(t, ended)
		close(disk.gate)
		require.ErrorIs(t, <-ended, disk.failure)
	})
}
