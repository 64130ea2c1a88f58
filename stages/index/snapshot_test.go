package index

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/stages/index/fresh"
	"github.com/engram-stream/engram/stages/index/hnsw"
)

// openOn opens a stage that keeps graphs on a disk, and whose log is returned.
func openOn(t testing.TB, disk vfs.FS, j *fakeJournal) (*Stage, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s := newStage(graphed, slog.New(slog.NewTextHandler(&log, nil)), graph.NewHandle[Journal](j), graph.NewHandle[Limits](roomy),
		graph.NewHandle[DataDir](folder("data/index")))
	s.fs = disk
	require.NoError(t, s.Open(context.Background()))
	return s, &log
}

func readFile(t require.TestingT, disk vfs.FS, path string) []byte {
	file, err := disk.Open(path)
	require.NoError(t, err)
	defer file.Close()
	b, err := io.ReadAll(file)
	require.NoError(t, err)
	return b
}

func writeFile(t require.TestingT, disk vfs.FS, path string, b []byte) {
	file, err := disk.Create(path, snapshotCategory)
	require.NoError(t, err)
	_, err = file.Write(b)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// damage changes one byte of a file.
func damage(t require.TestingT, disk vfs.FS, path string, which uint64) {
	b := readFile(t, disk, path)
	b[which%uint64(len(b))] ^= 0x10
	writeFile(t, disk, path, b)
}

const savedFile = "data/index/00000000000000000001.graph"

// filled is a journal with a space of 3,000 memories, some replaced and some forgotten, whose graph was saved when its index was
// closed; and what the index was then.
func filled(t *testing.T) (*fakeJournal, *vfs.MemFS, *merged) {
	t.Helper()
	j, disk := newFakeJournal(), vfs.NewMem()
	s, _ := openOn(t, disk, j)
	all := vectors(1, 3300)
	feedIDs(t, s, j, 0, all[:3000])
	settled(t, s, "x")
	feedIDs(t, s, j, 1000, all[3000:])
	process(t, s, j.append(at("x"), durable(), forget(numbered(5), numbered(2999), numbered(77)))...)
	g := settled(t, s, "x")
	require.NoError(t, s.Close())
	return j, disk, g
}

// TestARestartTakesGraphsFromTheirSnapshots: at once, as they were, and goes on from there.
func TestARestartTakesGraphsFromTheirSnapshots(t *testing.T) {
	j, disk, before := filled(t)
	feed, _ := openOn(t, vfs.NewMem(), j) // the journal goes on without this disk
	feedIDs(t, feed, j, 3000, vectors(2, 1500))
	require.NoError(t, feed.Close())

	s, log := openOn(t, disk, j)
	s.merger.stop()
	g := s.index.space("x").view.Load().merged
	require.Empty(t, log.String())
	require.Greater(t, int(g.coverage.Load().through), int(before.coverage.Load().through)-mergeBatch, "few are linked anew")
	require.Greater(t, int(g.coverage.Load().through), 2000)
	require.NoError(t, hnsw.Validate(g.coverage.Load().graph))
	recall, fromGraph := found(t, s, vectors(1, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
	assert.Greater(t, fromGraph, 0.4)
	for _, id := range []string{numbered(5), numbered(77)} {
		_, missing, err := s.service.Get(context.Background(), "x", []string{id}, false, nil)
		require.NoError(t, err)
		require.Equal(t, []string{id}, missing)
	}
}

// TestASnapshotThatIsNotRightIsNotUsed: whatever is wrong with it, the graph is built again from the journal, which the log says.
func TestASnapshotThatIsNotRightIsNotUsed(t *testing.T) {
	j, disk, before := filled(t)
	whole := readFile(t, disk, savedFile)
	other, _, _ := filled(t) // of another journal: the space has the same incarnation
	for i := range other.records {
		if o := other.records[i].op.Observe; o != nil {
			o.ReceivedAt = time.Unix(int64(i)+1, 0)
		}
	}
	otherDisk := vfs.NewMem()
	foreign, _ := openOn(t, otherDisk, other)
	settled(t, foreign, "x")
	require.NoError(t, foreign.Close())
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"a byte":   {append(bytes.Clone(whole[:len(whole)/2]), append([]byte{whole[len(whole)/2] ^ 1}, whole[len(whole)/2+1:]...)...), "checksum"},
		"its end":  {whole[:len(whole)-1], "ends early"},
		"nothing":  {nil, "ends early"},
		"another":  {readFile(t, otherDisk, savedFile), "where the journal has"},
		"no graph": {[]byte("engram"), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			require.NoError(t, disk.MkdirAll("data/index", 0o700))
			writeFile(t, disk, savedFile, c.file)
			s, log := openOn(t, disk, j)
			require.Contains(t, log.String(), c.says)
			require.Contains(t, log.String(), "space=x")
			g := settled(t, s, "x")
			require.GreaterOrEqual(t, g.coverage.Load().through, before.coverage.Load().through-1000)
			require.NoError(t, hnsw.Validate(g.coverage.Load().graph))
			recall, _ := found(t, s, vectors(1, 3100)[3000:])
			assert.Greater(t, recall, 0.95)
			require.NoError(t, s.Close())
			s, log = openOn(t, disk, j)
			require.Empty(t, log.String(), "a new snapshot has taken its place")
			require.NoError(t, s.Close())
		})
	}
}

// TestAJournalThatEndsBeforeItsSnapshot: as when an older copy of it was put back; what the snapshot has beyond is gone.
func TestAJournalThatEndsBeforeItsSnapshot(t *testing.T) {
	j, disk, _ := filled(t)
	j.records = j.records[:1500]
	j.next["x"] = 1500
	s, log := openOn(t, disk, j)
	require.Contains(t, log.String(), "the journal ends at 1500")
	require.Less(t, settled(t, s, "x").coverage.Load().through, fresh.Slot(1501))
	recall, _ := found(t, s, vectors(1, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
	require.NoError(t, s.Close())
}

// TestADeletedSpaceLeavesNoSnapshot: neither when it is deleted, nor when the server was not there to see it.
func TestADeletedSpaceLeavesNoSnapshot(t *testing.T) {
	list := func(disk vfs.FS) []string {
		names, err := disk.List("data/index")
		require.NoError(t, err)
		return names
	}
	j, disk, _ := filled(t)
	writeFile(t, disk, "data/index/notes.txt", nil)
	writeFile(t, disk, savedFile+".new", nil)
	s, _ := openOn(t, disk, j)
	require.ElementsMatch(t, []string{"00000000000000000001.graph", "notes.txt"}, list(disk))
	j.deleteSpace("x", true)
	require.Eventually(t, func() bool { return len(list(disk)) == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())

	writeFile(t, disk, savedFile, nil)
	s, _ = openOn(t, disk, j)
	require.Equal(t, []string{"notes.txt"}, list(disk))
	require.NoError(t, s.Close())
}

// TestADiskThatTakesNoSnapshot: it is said, and nothing else is different.
func TestADiskThatTakesNoSnapshot(t *testing.T) {
	j := newFakeJournal()
	s, log := openOn(t, errorfs.Wrap(vfs.NewMem(), errorfs.ErrInjected.If(errorfs.Writes)), j)
	feedIDs(t, s, j, 0, vectors(1, 3000))
	settled(t, s, "x")
	recall, _ := found(t, s, vectors(1, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
	require.NoError(t, s.Close())
	require.Contains(t, log.String(), "could not be saved")
}

// TestAGraphIsSavedWhenItHasDoubled: and not more often, so that little is written beside what is taken in.
func TestAGraphIsSavedWhenItHasDoubled(t *testing.T) {
	u := unsaved{nodes: 4000, changed: 3999}
	require.False(t, u.due(1, 1000))
	require.True(t, u.due(idleShare, 1000))
	u.changed = 4000
	require.True(t, u.due(1, 1000))
	u = unsaved{nodes: 10, changed: 999}
	require.False(t, u.due(1, 1000))
}

// TestAMergeThatIsBrokenOffIsSaved: what the graph has is what its snapshot says.
func TestAMergeThatIsBrokenOffIsSaved(t *testing.T) {
	m, _ := mergedOf(t, 3000)
	_, _, err := m.step(&endsAfter{Context: t.Context(), looks: 1000}, 3000, mergeLimits{graphFrom: 1000, workers: 1})
	require.NoError(t, err)
	through := m.coverage.Load().through
	require.Positive(t, through)
	require.Less(t, through, fresh.Slot(mergeBatch))
	var saved bytes.Buffer
	require.NoError(t, m.save(&saved, 1))
	again, _ := mergedOf(t, 3000)
	r, err := decodeSnapshot(&saved, 1, again)
	require.NoError(t, err)
	for slot, done := fresh.Slot(0), false; !done; slot++ {
		done, err = r.put(again, slot)
		require.NoError(t, err)
	}
	require.Equal(t, through, again.coverage.Load().through)
	require.Equal(t, int(through), again.coverage.Load().graph.Len())
}

// endsAfter is a context that has ended once it was looked at so often. One goroutine's.
type endsAfter struct {
	context.Context
	looks int
}

func (e *endsAfter) Err() error {
	if e.looks--; e.looks < 0 {
		return context.Canceled
	}
	return nil
}

// unsavedStage is one with a graph that has not been saved, whose merger has ended.
func unsavedStage(t *testing.T, disk vfs.FS) (*Stage, *fakeJournal) {
	j := newFakeJournal()
	s, _ := openOn(t, disk, j)
	s.merger.stop()
	s.merger.cancel, s.merger.ended = func() {}, make(chan struct{})
	least := s.merger.snapshots.least
	s.merger.snapshots.least = 1 << 20
	s.merger.start(&s.index.spaces)
	feedIDs(t, s, j, 0, vectors(1, 4000))
	settled(t, s, "x")
	s.merger.stop()
	s.merger.snapshots.least = least
	return s, j
}

// TestWhatAStopBreaksOffTheStopSaves: the merger may be about to save a graph, or to unload its space.
func TestWhatAStopBreaksOffTheStopSaves(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for name, brokenOff := range map[string]func(m *merger, sp *space){
		"save":   func(m *merger, sp *space) { m.keep(ended, sp, sp.view.Load().merged, 1) },
		"unload": func(m *merger, sp *space) { m.unload(ended, sp) },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			s, _ := unsavedStage(t, disk)
			sp := s.index.space("x")
			sp.used.Store(false)
			brokenOff(s.merger, sp)
			require.NoError(t, s.Close())
			_, err := disk.Stat(savedFile)
			require.NoError(t, err)
		})
	}
}

// renaming is a disk that calls then after a file was renamed.
type renaming struct {
	vfs.FS
	then func()
}

func (r *renaming) Rename(from, to string) error {
	err := r.FS.Rename(from, to)
	r.then()
	return err
}

// TestASpaceDeletedWhileItIsSaved: its snapshot goes too, the first one as well, of which nobody knew.
func TestASpaceDeletedWhileItIsSaved(t *testing.T) {
	disk := &renaming{FS: vfs.NewMem()}
	s, j := unsavedStage(t, disk)
	disk.then = func() { j.deleteSpace("x", true) }
	sp := s.index.space("x")
	s.merger.keep(t.Context(), sp, sp.view.Load().merged, 1)
	names, err := disk.List("data/index")
	require.NoError(t, err)
	require.Empty(t, names)
	require.NoError(t, s.Close())
}
