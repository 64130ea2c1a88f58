package journal

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// contents returns what ReplayOps gives of a space: its incarnation, and the ids in it, checked to have dense versions.
func contents(t *testing.T, s *Store, space string) (incarnation uint64, ids []string) {
	t.Helper()
	require.NoError(t, s.ReplayOps(t.Context(), func(sp memory.Space, v memory.Version, _ memory.Ordinal, op memory.Op) error {
		if sp.Name == space {
			incarnation, ids = sp.Incarnation, append(ids, op.Observe.ID)
			require.EqualValues(t, len(ids), v)
		}
		return nil
	}))
	return incarnation, ids
}

func requireNoSpace(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.NotFound, fault.KindOf(err), "%v", err)
	require.Equal(t, "SPACE_NOT_FOUND", fault.As(err).Reason)
}

// A deleted space is gone with its memories and its sessions; the name may be used again, from version 1, and no restart
// mixes the two.
func TestADeletedSpaceIsGone(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	live, g := attached(t, s, "faces")
	left, leftGrant := attached(t, s, "faces")
	other, _ := attached(t, s, "birds")
	unary := &session.Attachment{SessionID: "r1", Space: "faces", Unary: true, Remember: true}
	stored(t, s, observations(live, 1, 3, 2)...)
	stored(t, s, observation(left, 1, 2))
	stored(t, s, observation(unary, 1, 2))
	stored(t, s, observation(other, 1, 2))
	s.DetachSession(left.SessionID, 1)

	_, _, err := s.DeleteSpace(t.Context(), "nowhere")
	requireNoSpace(t, err)
	deleted, attachedThere, err := s.DeleteSpace(t.Context(), "faces")
	require.NoError(t, err)
	require.EqualValues(t, 1, deleted.Incarnation)
	require.Equal(t, []string{g.SessionID}, attachedThere)
	for range 2 {
		_, known := s.Space("faces")
		require.False(t, known)
		require.Len(t, s.ListSpaces("", 10), 1)
		_, _, err = s.DeleteSpace(t.Context(), "faces")
		requireNoSpace(t, err)
		for _, grant := range []session.Grant{g, leftGrant} {
			_, err = s.OpenSession(t.Context(), resumeOf(grant))
			requireGone(t, err)
		}
		require.Equal(t, session.Superseded, offered(s, observation(live, 4, 2)).refusal.Verdict)
		_, ids := contents(t, s, "faces")
		require.Empty(t, ids)
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}

	again, _ := attached(t, s, "faces")
	require.EqualValues(t, 3, stored(t, s, observation(again, 1, 5)).incarnation)
	stored(t, s, observation(unary, 1, 5)) // the same request: its first life went with the space
	for range 2 {
		incarnation, ids := contents(t, s, "faces")
		require.EqualValues(t, 3, incarnation)
		require.Equal(t, []string{again.SessionID + "-1", "r1-1"}, ids)
		_, ids = contents(t, s, "birds")
		require.Len(t, ids, 1)
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}
	require.NoError(t, s.Close())
}

// While a deletion is on its way to the disk the space is neither there nor gone: whoever writes is held off, and who wants
// to make or delete it waits. If the disk refuses, all goes on as if nobody had asked.
func TestADeletionCountsOnceItIsDurable(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, disk *stalling) {
		a, g := attached(t, s, "faces")
		unary := &session.Attachment{SessionID: "r1", Space: "faces", Unary: true, Remember: true}
		stored(t, s, observation(a, 1, 3))
		stored(t, s, observation(unary, 1, 3))
		disk.next.Store(true)
		first, second, made := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		remove := func(done chan<- error) { _, _, err := s.DeleteSpace(context.Background(), "faces"); done <- err }
		go remove(first)
		synctest.Wait()
		go remove(second)
		go func() {
			_, err := s.CreateSpace(context.Background(), memory.Space{Name: "faces", Dimension: 3})
			made <- err
		}()
		requireHeldOff(t, s, a, 2)
		requireHeldOff(t, s, &session.Attachment{SessionID: "u2", Space: "faces", Unary: true}, 1)
		sp, known := s.Space("faces")
		require.True(t, known)
		require.EqualValues(t, 2, sp.Committed)
		_, ids := contents(t, s, "faces")
		require.Len(t, ids, 2)
		synctest.Wait()
		require.Empty(t, second)
		require.Empty(t, made)
		close(disk.gate)
		require.ErrorIs(t, <-first, disk.failure)
		if disk.failure == nil {
			require.NoError(t, <-made)
			if err := <-second; err != nil { // it was there again, or not yet
				requireNoSpace(t, err)
			}
			_, err := s.OpenSession(t.Context(), resumeOf(g))
			requireGone(t, err)
			return
		}
		require.ErrorIs(t, <-second, syscall.EIO, "asked again while the disk takes nothing")
		require.NoError(t, <-made, "it never went away")
		requireServes(t, s, a, 2)
		require.Equal(t, session.Duplicate, offered(s, observation(unary, 1, 3)).refusal.Verdict)
		time.Sleep(3 * time.Hour)
		_, err := s.Session(g.SessionID, nil)
		require.NoError(t, err, "it has expired under its stream")
	})
}
