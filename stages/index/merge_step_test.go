package index

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/epoch"
	"github.com/engram-stream/engram/stages/index/fresh"
)

func mergedOf(t *testing.T, n int) (*merged, *epoch.Epochs) {
	t.Helper()
	tier, epochs := fresh.New(graphDimension, fresh.L2), &epoch.Epochs{}
	for i, v := range vectors(1, n) {
		tier.Prepare(fresh.Entry{Vector: v, Birth: uint64(i + 1)})
	}
	tier.Commit()
	return newMerged(tier, epochs), epochs
}

// TestWhatIsNotPublishedIsWaitedFor: while an owner is busy with a large change, the merger is not.
func TestWhatIsNotPublishedIsWaitedFor(t *testing.T) {
	m, _ := mergedOf(t, 3000)
	limits := graphed.limits()
	for published := range memory.Version(2) {
		for range 3 {
			more, later, err := m.step(t.Context(), published*1000, limits)
			require.NoError(t, err)
			if int(m.coverage.Load().through) == int(published)*1000 && more {
				more, later, err = m.step(t.Context(), published*1000, limits)
				require.NoError(t, err)
			}
			require.False(t, more)
			require.True(t, later)
		}
	}
}

// TestWhatDiesBeforeItIsMergedLeaves: also when a reader had it inserted nevertheless, and dead nodes were searched for before.
func TestWhatDiesBeforeItIsMergedLeaves(t *testing.T) {
	m, epochs := mergedOf(t, 3000)
	for slot := range fresh.Slot(2900) {
		m.tier.Kill(slot, 3001)
		m.killed.Add(1)
	}
	reader := epochs.Enter()
	limits := graphed.limits()
	for range 20 {
		_, _, err := m.step(t.Context(), 3001, limits)
		require.NoError(t, err)
	}
	require.Greater(t, m.coverage.Load().graph.Len(), 2000)
	require.LessOrEqual(t, m.searches, 2, "none at every step while a reader stays")
	epochs.Leave(reader)
	for range 20 {
		_, _, err := m.step(t.Context(), 3001, limits)
		require.NoError(t, err)
	}
	require.Less(t, m.coverage.Load().graph.Len(), 500)
	require.LessOrEqual(t, m.searches, 4)
	require.False(t, m.worthwhile(limits))
}

// TestWhatIsDeadToSomeIsRemovedWhenTheyHaveLeft: although most had been removed before, and few have died since.
func TestWhatIsDeadToSomeIsRemovedWhenTheyHaveLeft(t *testing.T) {
	m, epochs := mergedOf(t, 3000)
	limits := graphed.limits()
	steps := func(published memory.Version) {
		for range 20 {
			_, _, err := m.step(t.Context(), published, limits)
			require.NoError(t, err)
		}
	}
	kill := func(from, through fresh.Slot, version uint64) {
		for slot := from; slot < through; slot++ {
			m.tier.Kill(slot, version)
			m.killed.Add(1)
		}
	}
	steps(3000)
	kill(0, 1000, 3001)
	for range 4 { // until readers that come see that
		m.watch(3001)
	}
	reader := epochs.Enter()
	kill(1000, 2000, 3002)
	steps(3002)
	require.Equal(t, 2000, m.coverage.Load().graph.Len()+3000-int(m.coverage.Load().through), "what was dead to all has left")
	epochs.Leave(reader)
	steps(3002)
	require.Less(t, m.coverage.Load().graph.Len(), 1300)
}
