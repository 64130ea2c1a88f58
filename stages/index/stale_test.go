package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// cutBack puts an older copy of a journal back: that of its first records.
func (j *fakeJournal) cutBack(records int) {
	j.records = j.records[:records:records]
	j.next["x"] = memory.Version(records)
}

// TestAJournalThatEndsBeforeAForget: what that took out of the graph is alive again, and found.
func TestAJournalThatEndsBeforeAForget(t *testing.T) {
	j, disk := newFakeJournal(), vfs.NewMem()
	s, _ := openOn(t, disk, j)
	all := vectors(1, 4000)
	feedIDs(t, s, j, 0, all)
	settled(t, s, "x")
	before := len(j.records)
	var gone []string
	for i := 500; i < 2500; i++ {
		gone = append(gone, numbered(i))
	}
	process(t, s, j.append(at("x"), durable(), forget(gone...))...)
	g := settled(t, s, "x").coverage.Load()
	require.Less(t, g.graph.Len(), int(g.through)-1900)
	require.NoError(t, s.Close())

	j.cutBack(before)
	s, log := openOn(t, disk, j)
	require.Contains(t, log.String(), "which is alive")
	for i := 500; i < 2500; i += 20 {
		r, err := s.service.Recall(t.Context(), "x", memory.Query{Vector: all[i], Limit: 1})
		require.NoError(t, err)
		require.Equal(t, []string{numbered(i)}, ids(r.Hits))
	}
	require.NoError(t, s.Close())
}

// TestAJournalOfOtherVectors: as when an older copy was put back, and has gone on with others of the same times since.
func TestAJournalOfOtherVectors(t *testing.T) {
	for _, metric := range []memory.Metric{memory.Cosine, memory.L2, memory.Dot} {
		kept := vfs.NewMem()
		fill := func(disk vfs.FS, seed uint64) *fakeJournal {
			j := newFakeJournal()
			j.createSpace("x", graphDimension, metric)
			s, _ := openOn(t, disk, j)
			feedIDs(t, s, j, 0, vectors(seed, 4000))
			settled(t, s, "x")
			require.NoError(t, s.Close())
			return j
		}
		fill(kept, 1)
		s, log := openOn(t, kept, fill(vfs.NewMem(), 2))
		require.Contains(t, log.String(), "apart")
		recall, _ := found(t, s, vectors(2, 4100)[4000:])
		assert.Greater(t, recall, 0.95)
		require.NoError(t, s.Close())
	}
}

// TestAJournalBeforeTheFirstVector: what comes then has nothing to do with the snapshot, and is in a graph as ever.
func TestAJournalBeforeTheFirstVector(t *testing.T) {
	j, disk := newFakeJournal(), vfs.NewMem()
	s, _ := openOn(t, disk, j)
	process(t, s, j.append(at("x"), durable(), rejected())...)
	feedIDs(t, s, j, 0, vectors(1, 4000))
	settled(t, s, "x")
	require.NoError(t, s.Close())
	j.cutBack(1)
	s, log := openOn(t, disk, j)
	_, err := disk.Stat(savedFile)
	require.Error(t, err)
	feedIDs(t, s, j, 0, vectors(2, 3000))
	require.Greater(t, settled(t, s, "x").coverage.Load().through, fresh.Slot(1900))
	recall, _ := found(t, s, vectors(2, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
	require.Empty(t, log.String())
	require.NoError(t, s.Close())
}
