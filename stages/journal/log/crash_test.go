package log

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
)

// crash is what was on disk, and acked, at one moment.
type crash struct {
	fs      *vfs.MemFS
	acked   int
	started int
}

// At every file operation of a run the machine dies, with none, some or all of what was not synced on disk. What was
// acked by then is there, once and in order; of what was not, only whole records and only in order.
func TestCrashAtEveryOperation(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var acked, started atomic.Int64
	var mu sync.Mutex
	var crashes []crash
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		for seed, percent := range []int{0, 30, 60, 100} {
			before := int(acked.Load()) // read before the clone: what is acked now is in it
			crashes = append(crashes, crash{
				fs: mem.CrashClone(crashConfig(percent, uint64(len(crashes)+seed))), acked: before, started: int(started.Load()),
			})
		}
		return nil
	}))
	l, _, _ := mustOpen(t, testOptions(fs))
	var want []string
	for i := range 40 {
		s := fmt.Sprintf("%d %s", i, strings.Repeat("long", 100*(i%5)))
		want = append(want, s, s+" second")
		started.Add(2)
		r := put(t, l, s, s+" second")
		if i%3 != 0 { // sometimes two records share a group
			durable(t, r)
			acked.Store(int64(len(want)))
		}
	}
	require.NoError(t, l.Close())
	for i, c := range crashes {
		found, _ := holds(t, testOptions(c.fs))
		require.GreaterOrEqual(t, len(found), c.acked, "crash %d", i)
		require.LessOrEqual(t, len(found), c.started, "crash %d", i)
		require.Zero(t, len(found)%2, "crash %d: a record is whole or not there", i)
		require.Equal(t, want[:len(found)], append([]string{}, found...), "crash %d", i)
	}
	require.Greater(t, len(crashes), 300)
}

// recorded runs a log of n single-item groups without a clean end and returns its only segment and its items.
func recorded(t testing.TB, n int, clean bool) ([]byte, []string) {
	fs := vfs.NewMem()
	o := testOptions(fs)
	o.RollBytes = DefaultRollBytes
	l, _, _ := mustOpen(t, o)
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf("item number %d", i))
		durable(t, put(t, l, items[i]))
	}
	path := fs.PathJoin(testDir, segmentName(1))
	open := file(t, fs, path)
	require.NoError(t, l.Close())
	if clean {
		return file(t, fs, path), items
	}
	return open, items
}

// The file ends at every byte of the last group, cleanly, in zeros or in garbage: exactly the last item is gone, and said.
func TestTornTailIsCutAndReported(t *testing.T) {
	segment, items := recorded(t, 5, false)
	four, _ := recorded(t, 4, false)
	for cut := len(four) + 1; cut < len(segment); cut++ {
		zeros := make([]byte, len(segment)-cut)
		garbage := []byte(strings.Repeat("\xa5", len(zeros)))
		for name, tail := range map[string][]byte{"short": nil, "zeros": zeros, "garbage": garbage} {
			torn := append(append([]byte{}, segment[:cut]...), tail...)
			if string(torn) == string(segment) {
				continue // the record's padding is zeros anyway
			}
			fs := folder(t, torn)
			l, rec, found := mustOpen(t, testOptions(fs))
			require.Equal(t, items[:4], found, "%s at %d", name, cut)
			require.Equal(t, Recovery{
				Segments: 1, Records: 4, Items: 4, File: fs.PathJoin(testDir, segmentName(1)),
				Offset: int64(len(four)), TruncatedBytes: int64(len(torn) - len(four)),
			}, rec)
			durable(t, put(t, l, "after"))
			require.NoError(t, l.Close())
			found, rec = holds(t, testOptions(fs))
			require.Equal(t, append(items[:4:4], "after"), found)
			require.Zero(t, rec.TruncatedBytes, "the cut is settled by the new segment")
		}
	}
}

// Every single bit of a journal that was closed cleanly is flipped: damage is found and named, or harmless; no item is
// ever lost or altered in silence.
func TestFlippedBitIsFound(t *testing.T) {
	segment, items := recorded(t, 4, true)
	seal := len(segment) - groupHeadBytes
	for at := range segment {
		for bit := range 8 {
			bad := append([]byte{}, segment...)
			bad[at] ^= 1 << bit
			fs := folder(t, bad)
			var found []string
			l, rec, err := Open(testOptions(fs), func(e Entry) error { found = append(found, string(e.Items[0])); return nil })
			if at >= seal {
				require.NoError(t, err, "the closing mark carries nothing")
				require.Equal(t, items, found)
				require.NotZero(t, rec.TruncatedBytes)
				require.NoError(t, l.Close())
				continue
			}
			f := fault.As(err)
			require.NotNil(t, f, "byte %d", at)
			if f.Kind == fault.FailedPrecondition {
				require.Contains(t, err.Error(), "format version")
				continue
			}
			require.Equal(t, fault.Corrupt, f.Kind, "byte %d: %v", at, err)
			require.Equal(t, fs.PathJoin(testDir, segmentName(1)), f.Subject)
			require.Contains(t, err.Error(), "offset ")
		}
	}
}

// Damage in front of groups that were synced later is no torn tail, even where the journal was not closed.
func TestDamageBeforeALaterGroupIsNotCut(t *testing.T) {
	segment, items := recorded(t, 4, false)
	three, _ := recorded(t, 3, false)
	for at := headerBytes; at < len(three); at++ {
		bad := append([]byte{}, segment...)
		bad[at] ^= 0x10
		_, _, err := Open(testOptions(folder(t, bad)), func(Entry) error { return nil })
		require.Equal(t, fault.Corrupt, fault.KindOf(err), "byte %d", at)
		require.Contains(t, err.Error(), "proves that it was durable")
	}
	_ = items
}

func TestDamagedFolderIsNamed(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs)
	l, _, _ := mustOpen(t, o)
	for i := range 60 {
		durable(t, put(t, l, fmt.Sprint(i), strings.Repeat("x", 500)))
	}
	require.NoError(t, l.Close())
	var segments [][]byte
	for i := range l.Stats().Segments {
		segments = append(segments, file(t, fs, fs.PathJoin(testDir, segmentName(uint64(i)+1))))
	}
	require.Greater(t, len(segments), 4)
	open := func(fs vfs.FS) error {
		l, _, err := Open(testOptions(fs), func(Entry) error { return nil })
		if err == nil {
			require.NoError(t, l.Close())
		}
		return err
	}
	require.NoError(t, open(folder(t, segments...)))

	t.Run("a segment is missing", func(t *testing.T) {
		for gone := range len(segments) - 1 {
			fs := folder(t, segments...)
			require.NoError(t, fs.Remove(fs.PathJoin(testDir, segmentName(uint64(gone)+1))))
			err := open(fs)
			require.Equal(t, fault.Corrupt, fault.KindOf(err))
			require.Contains(t, err.Error(), segmentName(uint64(gone)+1))
		}
	})
	t.Run("a full segment is cut short", func(t *testing.T) {
		short := append([][]byte{}, segments...)
		short[1] = short[1][:len(short[1])-1]
		err := open(folder(t, short...))
		require.Equal(t, fault.Corrupt, fault.KindOf(err))
		require.Contains(t, err.Error(), segmentName(2))
	})
	t.Run("two segments change places", func(t *testing.T) {
		swapped := append([][]byte{}, segments...)
		swapped[1], swapped[2] = swapped[2], swapped[1]
		require.Equal(t, fault.Corrupt, fault.KindOf(open(folder(t, swapped...))))
	})
	t.Run("a segment was never finished", func(t *testing.T) {
		for n := range headerBytes {
			fs := folder(t, segments...)
			write(t, fs, fs.PathJoin(testDir, "next.seg"), segments[0][:n])
			require.NoError(t, open(fs), "it had no number yet")
			err := open(folder(t, append(slices.Clip(segments), segments[0][:n])...))
			require.Equal(t, fault.Corrupt, fault.KindOf(err), "one with a number had its header on disk")
		}
	})
	t.Run("a segment of a newer format", func(t *testing.T) {
		newer := append([]byte{}, segments[0]...)
		h, err := decodeHeader(newer)
		require.NoError(t, err)
		copy(newer, h.encode())
		newer[8] = 2
		reseal(newer)
		err = open(folder(t, newer))
		require.Equal(t, fault.FailedPrecondition, fault.KindOf(err))
		require.Contains(t, err.Error(), "format version 2")
	})
}

// A bit that flips while the log is open is found when the item is read.
func TestReadChecksTheItem(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs)
	l, _, _ := mustOpen(t, o)
	defer func() { require.NoError(t, l.Close()) }()
	durable(t, put(t, l, "first", "second"))
	path := fs.PathJoin(testDir, segmentName(1))
	b, err := fs.UnsafeGetFileDataBuffer(path)
	require.NoError(t, err)
	at := strings.Index(string(b), "second")
	b[at] ^= 1
	_, err = l.Read(2, nil)
	require.Equal(t, fault.Corrupt, fault.KindOf(err))
	require.ErrorContains(t, err, path+": offset "+fmt.Sprint(at))
	require.ErrorContains(t, err, "ordinal 2")
	_, err = l.Read(1, nil)
	require.NoError(t, err)
	err = l.Replay(t.Context(), func(Entry) error { return nil })
	require.Equal(t, fault.Corrupt, fault.KindOf(err))
}
