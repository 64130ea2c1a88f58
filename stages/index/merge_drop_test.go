package index

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestASpaceThatIsDeletedWhileItIsMerged: the merger lets go of it, and its owner does not wait for room.
func TestASpaceThatIsDeletedWhileItIsMerged(t *testing.T) {
	c := graphed
	c.FreshLimit = 1500
	j := newFakeJournal()
	s := newStage(c, nil, nil, nil, nowhere)
	m := newMerger(c.limits(), c.FreshLimit, &snapshots{}, s.logger)
	s.index = newIndex(j, hasher(secretSeed()), s.logger, m)
	s.merger = m // not started yet: all of it stays to be merged
	for from := 0; from < 1500; from += 250 {
		feedIDs(t, s, j, from, vectors(uint64(from), 250))
	}
	sp := s.index.space("x")
	require.True(t, sp.due.Load())
	waited := make(chan error, 1)
	go func() { waited <- m.room(context.Background(), sp, 100) }()
	require.Eventually(t, func() bool { return m.counts.waits.Load() == 1 }, 5*time.Second, time.Millisecond, "it waits")
	require.Positive(t, m.counts.read().Waited, "also while it waits")
	sp.drop()
	m.start(nil)
	select {
	case err := <-waited:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Error("the owner waits for ever")
	}
	require.Eventually(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.queue) == 0 && !sp.due.Load()
	}, time.Second, time.Millisecond)
	m.offer(sp)
	require.False(t, sp.due.Load(), "nobody will look")
	m.stop()
}
