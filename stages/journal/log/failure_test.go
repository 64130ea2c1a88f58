package log

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
)

// failures injects an error into the n-th operation of a kind, n from 0, and into the `more` that follow.
type failures struct {
	kind  errorfs.OpKind
	n     int
	more  int
	cause error
	seen  int
	hit   int
}

func (f *failures) MaybeError(op errorfs.Op) error {
	if op.Kind != f.kind {
		return nil
	}
	f.seen++
	if f.seen <= f.n || f.seen > f.n+1+f.more {
		return nil
	}
	f.hit++
	return f.cause
}

func (f *failures) String() string { return fmt.Sprint(f.kind) }

// Each operation of a run fails once, or a few times in a row. The group that it belongs to fails as a whole, the log
// goes on in a new segment, and what is found later is what was acked: once, in order, byte-equal; also when the failed
// bytes have reached the disk, as they do when only the sync fails.
func TestFailureOfEachOperation(t *testing.T) {
	for _, kind := range []errorfs.OpKind{
		errorfs.OpFileWrite, errorfs.OpFileSyncData, errorfs.OpCreate, errorfs.OpRename, errorfs.OpFileSync, errorfs.OpOpenDir,
		errorfs.OpOpen,
	} {
		hits := 0
		for n := range 40 {
			inject := &failures{kind: kind, n: n, more: n % 3, cause: syscall.EIO}
			hits += failingRun(t, inject)
		}
		require.NotZero(t, hits, "kind %d was never hit", kind)
	}
}

func failingRun(t *testing.T, inject *failures) int {
	mem := vfs.NewCrashableMem()
	o := testOptions(errorfs.Wrap(mem, inject))
	l, _, err := Open(o, func(Entry) error { return nil })
	if err != nil {
		require.Equal(t, fault.StorageUnavailable, fault.KindOf(err))
		return inject.hit
	}
	var want []string
	for i := range 12 {
		s := fmt.Sprintf("%d of %d", i, inject.n)
		mustPut(t, l, s, s+" second")
		want = append(want, s, s+" second")
	}
	for i, s := range want {
		b, err := l.Read(Ordinal(i+1), nil)
		require.NoError(t, err)
		require.Equal(t, s, string(b))
	}
	everything := mem.CrashClone(crashConfig(100, 1))
	synced := mem.CrashClone(crashConfig(0, 1))
	require.NoError(t, l.Close())
	for _, fs := range []vfs.FS{everything, synced, mem} {
		found, _ := holds(t, testOptions(fs))
		require.Equal(t, want, found, "kind %d, operation %d", inject.kind, inject.n)
	}
	return inject.hit
}

// A disk that fills up in the middle of a write: half a group is on disk and void.
func TestFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &tearing{FS: mem}
	l, _, _ := mustOpen(t, testOptions(fs))
	mustPut(t, l, "before")
	fs.fill(true)
	for range 3 {
		r, err := tryPut(l, "never acked", "never acked either")
		if err != nil {
			require.Equal(t, fault.StorageUnavailable, fault.KindOf(err))
			continue
		}
		<-r.Commit.Done()
		require.ErrorIs(t, r.Commit.Err(), syscall.ENOSPC)
		require.Contains(t, r.Commit.Err().Error(), "check the disk")
	}
	_, err := l.Read(2, nil)
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	fs.fill(false)
	mustPut(t, l, "after")
	require.NotZero(t, l.Stats().Failures)
	crashed := mem.CrashClone(crashConfig(100, 1))
	require.NoError(t, l.Close())
	for _, fs := range []vfs.FS{mem, crashed} {
		found, _ := holds(t, testOptions(fs))
		require.Equal(t, []string{"before", "after"}, found)
	}
}

// The user of the log takes his own state back under his lock, before the lost appends learn of it, and everything that
// was appended on top of the failed group is lost with it.
func TestFailureTakesPendingAppendsWithIt(t *testing.T) {
	entered, gate, failing := make(chan struct{}), make(chan struct{}), true
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && failing {
			entered <- struct{}{}
			<-gate
			return syscall.EIO
		}
		return nil
	}))
	o := testOptions(fs)
	var first, second Receipt
	told := 0
	o.OnFailure = func(cause error, discard func() LSN) {
		require.ErrorIs(t, cause, syscall.EIO)
		require.EqualValues(t, 0, discard())
		for _, r := range []Receipt{first, second} {
			select {
			case <-r.Commit.Done():
				t.Error("a commit was resolved before the state was taken back")
			default:
			}
		}
		failing = false
		told++
	}
	l, _, _ := mustOpen(t, o)
	first = put(t, l, "first")
	<-entered // the first group is on its way: what follows belongs to a later one
	second = put(t, l, "second")
	require.EqualValues(t, 2, second.FirstOrdinal)
	close(gate)
	<-second.Commit.Done()
	<-first.Commit.Done()
	require.Error(t, first.Commit.Err())
	require.Error(t, second.Commit.Err())
	mustPut(t, l, "third")
	require.Equal(t, 1, told)
	require.NoError(t, l.Close())
	o.OnFailure = nil
	found, _ := holds(t, o)
	require.Equal(t, []string{"third"}, found)
}

// After a failure the log waits before it touches the disk again, longer each time, and says how long.
func TestBackoffGrowsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpCreate && broken {
				return syscall.ENOSPC
			}
			return nil
		}))
		l, _, err := Open(Options{FS: fs, Dir: testDir}, func(Entry) error { return nil })
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		for _, wait := range []int{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
			r, err := tryPut(l, "x")
			require.NoError(t, err)
			<-r.Commit.Done()
			require.ErrorIs(t, r.Commit.Err(), syscall.ENOSPC)
			_, err = tryPut(l, "x")
			f := fault.As(err)
			require.NotNil(t, f)
			require.Equal(t, fault.StorageUnavailable, f.Kind)
			require.EqualValues(t, wait, f.RetryAfter.Milliseconds())
			require.ErrorIs(t, err, syscall.ENOSPC, "the cause is said again")
			time.Sleep(f.RetryAfter)
			synctest.Wait()
		}
		broken = false
		r, err := tryPut(l, "x")
		require.NoError(t, err)
		durable(t, r)
		b, err := l.Read(1, nil)
		require.NoError(t, err)
		require.Equal(t, "x", string(b))
	})
}

// Bytes that no sync has confirmed are made dirty and synced again before anything builds on them: after a failed sync
// the page cache counts as clean, and a crash would take what a reader has just been told is durable.
func TestUnprovenTailIsConfirmedAtOpen(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l, _, _ := mustOpen(t, testOptions(mem))
	durable(t, put(t, l, "one"))
	killed := mem.CrashClone(crashConfig(100, 1)) // the process dies; nothing is lost, nothing was closed
	require.NoError(t, l.Close())
	var wrote, synced int
	fs := errorfs.Wrap(killed, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWriteAt:
			require.Zero(t, synced)
			wrote++
		case errorfs.OpFileSyncData:
			require.NotZero(t, wrote)
			synced++
		}
		return nil
	}))
	l, _, found := mustOpen(t, testOptions(fs))
	require.Equal(t, []string{"one"}, found)
	require.Equal(t, 1, wrote)
	require.Equal(t, 1, synced)
	require.NoError(t, l.Close())
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWriteAt, errorfs.OpFileSyncData} {
		_, _, err := Open(testOptions(errorfs.Wrap(killed, &failures{kind: kind, cause: syscall.EIO})), func(Entry) error { return nil })
		require.Equal(t, fault.StorageUnavailable, fault.KindOf(err))
	}
}

// The closing mark of a journal reaches the page cache only: its sync fails, or the process is killed before it. The next
// process, in the same boot, acks on top of it; then the power fails, and takes the mark but nothing that was acked.
func TestClosingMarkThatWasNeverSynced(t *testing.T) {
	mem := vfs.NewCrashableMem()
	inject := &failures{kind: errorfs.OpFileSyncData, n: 2, cause: syscall.EIO} // after the header's and the group's
	l, _, _ := mustOpen(t, testOptions(errorfs.Wrap(mem, inject)))
	durable(t, put(t, l, "one"))
	require.NoError(t, l.Close())
	require.Equal(t, 1, inject.hit)
	l, _, found := mustOpen(t, testOptions(mem))
	require.Equal(t, []string{"one"}, found)
	durable(t, put(t, l, "two"))
	for _, percent := range []int{0, 50, 100} {
		found, _ := holds(t, testOptions(mem.CrashClone(crashConfig(percent, 1))))
		require.Equal(t, []string{"one", "two"}, found)
	}
	require.NoError(t, l.Close())
}

// An operator who reads of a failed write reads when it is over, once.
func TestTheEndOfAFailureIsSaid(t *testing.T) {
	var said bytes.Buffer
	o := testOptions(errorfs.Wrap(vfs.NewMem(), &failures{kind: errorfs.OpFileSyncData, n: 1, more: 1, cause: syscall.ENOSPC}))
	o.Logger = slog.New(slog.NewTextHandler(&said, nil))
	l, _, _ := mustOpen(t, o)
	for range 4 {
		mustPut(t, l, "x")
	}
	require.NoError(t, l.Close())
	require.Equal(t, 1, strings.Count(said.String(), "writing works again"), said.String())
	require.NotZero(t, strings.Count(said.String(), "write failed"))
}
