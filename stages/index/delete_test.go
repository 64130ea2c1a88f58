package index

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

func requireUnknown(t *testing.T, s *Stage, space string) {
	t.Helper()
	_, err := s.service.Recall(t.Context(), space, memory.Query{Vector: []float32{1, 0}})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.Zero(t, s.service.Published(space))
	require.Zero(t, alive(s, space))
}

// Of a deleted space nothing is found, and nothing of it in a later space of the same name, of whatever dimension.
func TestADeletedSpaceIsNotFound(t *testing.T) {
	for name, told := range map[string]bool{"told": true, "found out": false} {
		t.Run(name, func(t *testing.T) {
			j := newFakeJournal()
			s := openStage(t, j, roomy)
			process(t, s, j.append(at("x"), durable(), observe("one", 1, 0), observe("two", 0, 1))...)
			j.deleteSpace("x", told)
			if told {
				requireUnknown(t, s, "x")
			}
			process(t, s, j.append(at("x"), durable(), observe("three", 1, 0, 0))...)
			result, err := s.service.Recall(t.Context(), "x", memory.Query{Vector: []float32{1, 0, 0}})
			require.NoError(t, err)
			require.Equal(t, []string{"three"}, ids(result.Hits))
			require.Equal(t, memory.Version(1), s.service.Published("x"))

			again := openStage(t, j, roomy)
			result, err = again.service.Recall(t.Context(), "x", memory.Query{Vector: []float32{1, 0, 0}})
			require.NoError(t, err)
			require.Equal(t, []string{"three"}, ids(result.Hits))
		})
	}
}

// What was durable before its space was deleted, and reaches the index after, is acknowledged and brings nothing back;
// neither does what reaches it while it is being applied, nor the rebuild of a damaged space.
func TestWhatIsOnItsWayToADeletedSpaceGoesNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		f := newFate()
		in, _ := graphtest.NewBatch(j.append(at("x"), f, observe("one", 1, 0))...)
		late := j.append(at("x"), durable(), observe("two", 1, 0), forget("one"))
		port := graphtest.NewPort[session.Applied](1)
		processed := make(chan error)
		go func() { processed <- s.Process(context.Background(), in, port) }()
		waited := make(chan error)
		go func() { waited <- s.service.WaitPublished(context.Background(), "x", 3) }()
		synctest.Wait()

		j.deleteSpace("x", true)
		require.Equal(t, fault.NotFound, fault.KindOf(<-waited), "it will never come")
		f.decide(nil)
		require.NoError(t, <-processed)
		require.Len(t, port.Items(), 1)
		port.DeliverAll()
		require.Len(t, process(t, s, late...), 2)
		requireUnknown(t, s, "x")

		next := j.append(at("x"), durable(), observe("new", 0, 1))
		process(t, s, next...)
		require.Len(t, process(t, s, late...), 2, "later still")
		result, err := s.service.Recall(t.Context(), "x", memory.Query{Vector: []float32{1, 0}})
		require.NoError(t, err)
		require.Equal(t, []string{"new"}, ids(result.Hits))
	})
}

// A deletion that comes between the two looks of a waiter is not missed.
func TestNoDeletionIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := newSpace("x", 1, writer{})
		sp.window = func() {
			sp.window = nil
			sp.drop()
		}
		require.Equal(t, fault.NotFound, fault.KindOf(sp.wait(t.Context(), 1)))
	})
}

// A space that is deleted while somebody comes to watch it leaves nobody waiting for it, nor anything of it behind.
func TestADeletionWhileAWatcherComesIsNotMissed(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	j.createSpace("x", 2, memory.Dot)
	ix := s.index
	ix.journal = &deletedOnceSeen{fakeJournal: j, name: "x"}
	_, err := s.service.Feed("x")
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.Nil(t, ix.space("x"))
}

// deletedOnceSeen deletes a space as soon as somebody has been told that it is there.
type deletedOnceSeen struct {
	*fakeJournal
	name string
}

func (j *deletedOnceSeen) Space(name string) (memory.Space, bool) {
	sp, ok := j.fakeJournal.Space(name)
	if ok && name == j.name {
		j.deleteSpace(name, true)
	}
	return sp, ok
}
