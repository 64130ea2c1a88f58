package journal

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/session"
)

// pages lists all sessions, in pages of a size, each cut as the transports cut it.
func pages(t require.TestingT, s *Store, space string, size int) (all []session.Status) {
	after := ""
	for {
		page, err := s.ListSessions(context.Background(), space, after, size)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), size)
		all = append(all, page...)
		if len(page) < size {
			return all
		}
		after = page[size-1].SessionID
	}
}

// However sessions are opened, detached and ended in between, a walk through the pages shows each that is there once, by
// id, whatever the size of the pages, and only those of the space that is asked for.
func TestPagesShowEverySessionOnce(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	want := map[string]session.Status{}
	rapid.Check(t, func(t *rapid.T) {
		known := func() string {
			if len(want) == 0 {
				t.Skip("no session")
			}
			var ids []string
			for id := range want {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			return rapid.SampledFrom(ids).Draw(t, "session")
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				space := rapid.SampledFrom(historySpaces).Draw(t, "space")
				g, err := s.OpenSession(context.Background(), session.OpenRequest{Space: space})
				require.NoError(t, err)
				want[g.SessionID] = session.Status{SessionID: g.SessionID, Space: space, State: session.Attached, Epoch: 1}
			},
			"detach": func(*rapid.T) {
				st := want[known()]
				s.DetachSession(st.SessionID, 1)
				st.State = session.Detached
				want[st.SessionID] = st
			},
			"end": func(t *rapid.T) {
				id := known()
				_, err := s.DismissSession(context.Background(), id, nil)
				require.NoError(t, err)
				delete(want, id)
			},
			"": func(t *rapid.T) {
				space := rapid.SampledFrom(append([]string{""}, historySpaces...)).Draw(t, "of space")
				size := rapid.IntRange(1, 5).Draw(t, "page size")
				last, seen := "", 0
				for _, st := range pages(t, s, space, size) {
					require.Greater(t, st.SessionID, last)
					require.Equal(t, st.State == session.Detached, !st.Expires.IsZero())
					st.Expires, last = time.Time{}, st.SessionID
					require.Equal(t, want[st.SessionID], st)
					seen++
				}
				for _, st := range want {
					if space == "" || st.Space == space {
						seen--
					}
				}
				require.Zero(t, seen, "sessions that are not shown")
			},
		})
	})
}

// One session of a space is found among more sessions of another than are looked at in one go.
func TestARareSpaceIsFoundAmongManySessions(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	s.mu.Lock()
	for i := range 3*maxRosterScan + 7 {
		id, space := fmt.Sprintf("s%06d", i), "faces"
		if i == 2*maxRosterScan+3 {
			space = "birds"
		}
		s.state.sessions[id] = &sess{id: id, space: space, expected: 1, public: progress{epoch: 1}}
		s.state.ids.insert(id)
		s.presence.attach(id, 1, 0)
	}
	s.mu.Unlock()
	for _, limit := range []int{1, 2} {
		page, err := s.ListSessions(t.Context(), "birds", "", limit)
		require.NoError(t, err)
		require.Len(t, page, 1)
	}
	require.Len(t, pages(t, s, "", maxRosterScan), 3*maxRosterScan+7)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.ListSessions(ctx, "birds", "", 1)
	require.ErrorIs(t, err, context.Canceled)
}

// What is on its way to the disk is not told: neither a session, nor its epoch, nor its numbers.
func TestOnlyWhatIsDurableIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Store, disk *stalling) {
		a, g := attached(t, s, "faces")
		stored(t, s, observations(a, 1, 2, 3)...)
		disk.next.Store(true)
		v := offered(s, observation(a, 3, 3))
		require.Nil(t, v.refusal)
		opened, resumed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces"})
			opened <- err
		}()
		go func() { _, err := s.OpenSession(context.Background(), resumeOf(g)); resumed <- err }()
		synctest.Wait()
		before := session.Status{SessionID: g.SessionID, Space: "faces", State: session.Attached, Epoch: 1, Committed: 2, Version: 2}
		require.Equal(t, []session.Status{before}, pages(t, s, "", 10))
		close(disk.gate)
		require.ErrorIs(t, <-opened, disk.failure)
		require.ErrorIs(t, <-resumed, disk.failure)
		require.ErrorIs(t, await(t.Context(), v.durable), disk.failure)
		after, err := s.Session(g.SessionID, nil)
		require.NoError(t, err)
		if disk.failure != nil {
			require.Equal(t, before, after)
			return
		}
		require.Equal(t, []uint64{2, 3}, []uint64{after.Epoch, after.Committed})
		require.Len(t, pages(t, s, "", 1), 2)
	})
}

// A detached session says when it goes, and is not shown once its time is over, swept or not.
func TestADetachedSessionSaysWhenItGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testOptions(vfs.NewMem()))
		defer func() { require.NoError(t, s.Close()) }()
		_, g := attached(t, s, "faces")
		s.DetachSession(g.SessionID, 1)
		at := time.Now().Add(time.Hour)
		st, err := s.Session(g.SessionID, g.Token)
		require.NoError(t, err)
		require.Equal(t, session.Detached, st.State)
		require.True(t, at.Equal(st.Expires), st.Expires)
		time.Sleep(time.Hour + time.Second) // the sweeper has not come by
		_, err = s.Session(g.SessionID, nil)
		requireGone(t, err)
		_, err = s.DismissSession(t.Context(), g.SessionID, nil)
		requireGone(t, err)
		require.Empty(t, pages(t, s, "", 10))
	})
}
