package log

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// flaky fails every second operation of a kind from the first one on, and n of them. A segment takes two syncs, one for
// the header and one for its first group: so the header succeeds and the group fails, each time anew.
type flaky struct {
	kind  errorfs.OpKind
	first int // from 1
	n     int
	seen  int
}

func (f *flaky) MaybeError(op errorfs.Op) error {
	if op.Kind != f.kind {
		return nil
	}
	f.seen++
	if since := f.seen - f.first; since >= 0 && since%2 == 0 && since < 2*f.n {
		return syscall.EIO
	}
	return nil
}

func (f *flaky) String() string { return fmt.Sprintf("%d operations fail", f.n) }

// counting counts the files of a file system that are open.
type counting struct {
	vfs.FS
	open atomic.Int64
}

func (fs *counting) counted(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	fs.open.Add(1)
	return &countedFile{f, fs}, nil
}

func (fs *counting) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.counted(fs.FS.Create(name, category))
}

func (fs *counting) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.counted(fs.FS.Open(name, opts...))
}

func (fs *counting) OpenDir(name string) (vfs.File, error) { return fs.counted(fs.FS.OpenDir(name)) }

type countedFile struct {
	vfs.File
	fs *counting
}

func (f *countedFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}

// A disk that takes headers and fails groups leaves one file for all the tries, not one a try; nor do they stay open.
func TestFailedSegmentsDoNotPileUp(t *testing.T) {
	const tries = 24
	mem := vfs.NewMem()
	fs := &counting{FS: errorfs.Wrap(mem, &flaky{kind: errorfs.OpFileSyncData, first: 3, n: tries})}
	l, _, _ := mustOpen(t, testOptions(fs))
	require.NoError(t, attempt(l, "before"))
	require.EqualValues(t, 2, fs.open.Load(), "the first segment, to read and to write")
	for range tries {
		require.ErrorIs(t, attempt(l, "never acked"), syscall.EIO)
	}
	require.EqualValues(t, 1, fs.open.Load(), "the first segment, to read")
	require.NoError(t, attempt(l, "after"))
	names, err := mem.List(testDir)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{segmentName(1), segmentName(2)}, names)
	require.Equal(t, 2, l.Stats().Segments)
	require.NoError(t, l.Close())
	found, _ := holds(t, testOptions(mem))
	require.Equal(t, []string{"before", "after"}, found)
}

// Processes that each end with a blank segment leave one of them, too.
func TestBlankSegmentIsReplacedByTheNextProcess(t *testing.T) {
	mem := vfs.NewMem()
	l, _, _ := mustOpen(t, testOptions(mem))
	require.NoError(t, attempt(l, "before"))
	require.NoError(t, l.Close())
	for range 5 {
		l, rec, found := mustOpen(t, testOptions(errorfs.Wrap(mem, &flaky{kind: errorfs.OpFileWrite, first: 2, n: 2})))
		require.Equal(t, []string{"before"}, found)
		require.Equal(t, 1, rec.Segments)
		for range 2 {
			require.ErrorIs(t, attempt(l, "never acked"), syscall.EIO)
		}
		require.NoError(t, l.Close())
	}
	l, _, _ = mustOpen(t, testOptions(mem))
	require.NoError(t, attempt(l, "after"))
	require.NoError(t, l.Close())
	names, err := mem.List(testDir)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{segmentName(1), segmentName(2)}, names)
	found, _ := holds(t, testOptions(mem))
	require.Equal(t, []string{"before", "after"}, found)
}

// The failed bytes of a segment are void for good once the next one's header is durable, also while that one fails and is
// replaced: whenever the machine dies, with none, some or all of what was not synced on disk, they do not come back.
func TestVoidStaysVoidWhileBlankSegmentsAreReplaced(t *testing.T) {
	mem := vfs.NewCrashableMem()
	disk := &flaky{kind: errorfs.OpFileSyncData, first: 3, n: 4}
	var acked []string
	var crashes []crash
	void := false // the second header, the fourth sync, has been made durable, and its name after it
	fs := errorfs.Wrap(mem, errorfs.Any(errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !void || op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			void = void || disk.seen == 4 && op.Kind == errorfs.OpFileSync // once this is done
			return nil
		}
		for _, percent := range []int{0, 30, 60, 100} {
			crashes = append(crashes, crash{fs: mem.CrashClone(crashConfig(percent, uint64(len(crashes)))), acked: len(acked)})
		}
		return nil
	}), disk))
	l, _, _ := mustOpen(t, testOptions(fs))
	for i := range 7 {
		s := fmt.Sprint(i)
		if attempt(l, s) == nil {
			acked = append(acked, s)
		}
	}
	require.NoError(t, l.Close())
	require.Equal(t, []string{"0", "5", "6"}, acked)
	for i, c := range crashes {
		found, _ := holds(t, testOptions(c.fs))
		require.NotContains(t, found, "1", "crash %d: it failed in the first segment", i)
		requireWithin(t, acked[:c.acked], found, fmt.Sprint("crash ", i))
	}
	require.Greater(t, len(crashes), 60)
}

// A process whose groups fail is killed at each of its operations, the next one goes on in the page cache that it left,
// then the power fails.
func TestFailuresThenKillThenPowerLoss(t *testing.T) {
	flakySync := func() *flaky { return &flaky{kind: errorfs.OpFileSyncData, first: 3, n: 3} }
	whole := &kill{}
	life(t, vfs.NewMem(), errorfs.Any(whole, flakySync()), "first", 6)
	for k := range whole.seen + 2 {
		mem := vfs.NewCrashableMem()
		acked := life(t, mem, errorfs.Any(&kill{n: k}, flakySync()), "first", 6)
		for _, percent := range []int{0, 50, 100} {
			second := life(t, mem, &kill{}, fmt.Sprint("second, ", percent), 2)
			require.Len(t, second, 2)
			acked = append(acked, second...)
			found, _ := holds(t, testOptions(mem.CrashClone(crashConfig(percent, uint64(k)))))
			requireWithin(t, acked, found, fmt.Sprintf("killed at %d, %d %% on disk", k, percent))
		}
	}
}
