package log

import (
	"bytes"
	"context"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engram-stream/engram/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDir = "data/journal"

// testOptions are those of a log with small segments and hardly any backoff.
func testOptions(fs vfs.FS) Options {
	salt := uint64(0x5a17)
	return Options{
		FS: fs, Dir: testDir, RollBytes: minRollBytes, MinBackoff: 1, MaxBackoff: 1,
		Salt: func() uint64 { salt++; return salt },
	}
}

// text is a payload of one item a string.
func text(items ...string) *Payload {
	p := NewPayload()
	for _, s := range items {
		p.Add(func(dst []byte) []byte { return append(dst, s...) })
	}
	return p
}

// mustOpen opens a log and returns the items it holds, as read by the scan.
func mustOpen(t testing.TB, o Options) (*Log, Recovery, []string) {
	t.Helper()
	var items []string
	l, r, err := Open(o, func(e Entry) error {
		for _, it := range e.Items {
			items = append(items, string(it))
		}
		return nil
	})
	require.NoError(t, err)
	return l, r, items
}

// holds opens a log, checks that reading by ordinal and replay agree with the scan, and returns the items.
func holds(t testing.TB, o Options) ([]string, Recovery) {
	t.Helper()
	l, r, items := mustOpen(t, o)
	defer func() { require.NoError(t, l.Close()) }()
	var replayed []string
	require.NoError(t, l.Replay(context.Background(), func(e Entry) error {
		for _, it := range e.Items {
			replayed = append(replayed, string(it))
		}
		return nil
	}))
	require.Equal(t, items, replayed)
	for i, s := range items {
		b, err := l.Read(Ordinal(i+1), nil)
		require.NoError(t, err)
		require.Equal(t, s, string(b))
	}
	return items, r
}

// put appends one record and returns its receipt.
func put(t testing.TB, l *Log, items ...string) Receipt {
	t.Helper()
	receipt, err := tryPut(l, items...)
	require.NoError(t, err)
	return receipt
}

func tryPut(l *Log, items ...string) (Receipt, error) {
	r, err := l.Reserve(context.Background(), 1)
	if err != nil {
		return Receipt{}, err
	}
	defer r.Release()
	return l.Append(r, Record{Kind: 7, Meta: []byte("meta of " + items[0]), Payload: text(items...)})
}

func durable(t testing.TB, r Receipt) {
	t.Helper()
	<-r.Commit.Done()
	require.NoError(t, r.Commit.Err())
}

// mustPut appends until the log takes it and it is durable: what a client does with nacks.
func mustPut(t testing.TB, l *Log, items ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r, err := tryPut(l, items...)
		if err != nil {
			return false
		}
		<-r.Commit.Done()
		return r.Commit.Err() == nil
	}, 10*time.Second, time.Microsecond)
}

// attempt appends once, when the log takes appends again, and returns the fate of it.
func attempt(l *Log, items ...string) error {
	for {
		r, err := tryPut(l, items...)
		if f := fault.As(err); f != nil && f.RetryAfter > 0 {
			continue // the test's backoff is a nanosecond
		}
		if err != nil {
			return err
		}
		<-r.Commit.Done()
		return r.Commit.Err()
	}
}

// file returns the bytes of a file.
func file(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	b := make([]byte, info.Size())
	if len(b) > 0 {
		_, err = f.ReadAt(b, 0)
		require.NoError(t, err)
	}
	return b
}

// folder returns a file system whose journal has these segments, from number 1.
func folder(t testing.TB, segments ...[]byte) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll(testDir, directoryMode))
	for i, b := range segments {
		write(t, fs, fs.PathJoin(testDir, segmentName(uint64(i)+1)), b)
	}
	return fs
}

func write(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, writeCategory)
	require.NoError(t, err)
	_, err = f.Write(bytes.Clone(b)) // a vfs may change what it is given
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func crashConfig(percent int, seed uint64) vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1))}
}

// tearing is a file system whose writes can be told to stop half-way, as on a full disk.
type tearing struct {
	vfs.FS
	mu   sync.Mutex
	full bool // guarded by mu
}

func (fs *tearing) fill(full bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.full = full
}

func (fs *tearing) isFull() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.full
}

func (fs *tearing) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return &tearingFile{f, fs}, err
}

type tearingFile struct {
	vfs.File
	fs *tearing
}

func (f *tearingFile) Write(b []byte) (int, error) {
	if !f.fs.isFull() {
		return f.File.Write(b)
	}
	n, _ := f.File.Write(b[:len(b)/2])
	return n, syscall.ENOSPC
}

// reseal writes a segment header's checksum anew.
func reseal(b []byte) { le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli)) }
