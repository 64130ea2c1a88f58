package index

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

// Memories of the very moment before which is forgotten stay, and none of them is read from the journal to find that out:
// a million of one day's date would hold the space's writers up for as long.
func TestAForgetAtAWholeMicrosecondReadsNothing(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	day := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	seen := func(id string, at time.Time) memory.Op {
		op := observe(id, 1, 0)
		op.Observe.ObservedAt = at
		return op
	}
	process(t, s, j.append(at("x"), durable(), seen("before", day.Add(-1)), seen("at", day), seen("after", day.Add(1)))...)
	reads := 0
	j.onRead = func(memory.Ordinal) error { reads++; return nil }
	old := &memory.Forget{ObservedBefore: day}
	matched, err := s.service.Match(t.Context(), "x", old)
	require.NoError(t, err)
	require.EqualValues(t, 1, matched)
	process(t, s, j.append(at("x"), durable(), memory.Op{Kind: memory.OpForget, Forget: old})...)
	require.Zero(t, reads)
	_, missing, err := s.service.Get(t.Context(), "x", []string{"before", "at", "after"}, false, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"before"}, missing)
}
