//go:build linux

package journal

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// The sizes of what was measured before the log was designed: batches of 256 observations of some 3.2 KB, 4 writers.
const (
	benchOps       = 256
	benchWriters   = 4
	benchDimension = 768
)

func benchUnit(from *session.Attachment, first uint64, vectors [][]float32) []session.Op {
	ops := make([]session.Op, benchOps)
	for i := range ops {
		ops[i] = session.Op{From: from, Op: memory.Op{Kind: memory.OpObserve, Sequence: first + uint64(i), Observe: &memory.Observation{
			ID: fmt.Sprintf("memory-%d", i), Content: "what was seen, in a sentence or two of some hundred bytes, as clients send it with their vectors",
			Confidence: 1, ReceivedAt: time.Unix(1, 0), Vector: vectors[i],
		}}}
	}
	return ops
}

func benchVectors() [][]float32 {
	r := rand.New(rand.NewPCG(1, 1))
	vectors := make([][]float32, benchOps)
	for i := range vectors {
		vectors[i] = make([]float32, benchDimension)
		for j := range vectors[i] {
			vectors[i][j] = r.Float32()
		}
	}
	return vectors
}

// cpu returns the process's CPU time.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends units of 256 observations of 768 float32 from 4 writers, each waiting for its sync before the
// next: what a lane does at full load.
func BenchmarkAppend(b *testing.B) {
	s, _, err := Open(Options{FS: vfs.Default, Dir: filepath.Join(b.TempDir(), "journal")})
	require.NoError(b, err)
	vectors := benchVectors()
	var turn, in atomic.Int64
	started := cpu()
	b.ResetTimer()
	var work sync.WaitGroup
	for range benchWriters {
		from, _ := attached(b, s, "bench")
		work.Go(func() {
			for first := uint64(1); turn.Add(1) <= int64(b.N); first += benchOps {
				u := newUnit(benchUnit(from, first, vectors))
				in.Add(int64(u.payload.Bytes()))
				v := s.append(context.Background(), u)
				if v.refusal != nil || await(context.Background(), v.durable) != nil {
					panic("append failed")
				}
			}
		})
	}
	work.Wait()
	b.StopTimer()
	observations := float64(b.N * benchOps)
	b.ReportMetric(observations/b.Elapsed().Seconds(), "obs/s")
	b.ReportMetric(float64((cpu()-started).Microseconds())/observations, "cpu-µs/obs")
	b.ReportMetric(float64(s.log.Stats().Written)/float64(in.Load()), "written/in")
	b.ReportMetric(float64(b.N)/float64(s.log.Stats().Groups), "units/sync")
	require.NoError(b, s.Close())
}

// BenchmarkFloor is what the disk and the processor take at the least: the same bytes, checksummed once, in writes of
// 1 MiB and a sync a 4 units, without a format, a state or a second goroutine.
func BenchmarkFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	require.NoError(b, err)
	unit := newUnit(benchUnit(&session.Attachment{SessionID: "s"}, 1, benchVectors()))
	bytes := make([]byte, 0, benchWriters*unit.payload.Bytes())
	table := crc32.MakeTable(crc32.Castagnoli)
	started := cpu()
	b.ResetTimer()
	for n := 0; n < b.N; n += benchWriters {
		bytes = bytes[:0]
		for range benchWriters {
			for i := range benchOps {
				item := unit.payload.Item(i)
				bytes = append(bytes, item...)
				crc32.Checksum(item, table)
			}
		}
		for rest := bytes; len(rest) > 0; rest = rest[min(1<<20, len(rest)):] {
			_, err := f.Write(rest[:min(1<<20, len(rest))])
			require.NoError(b, err)
		}
		require.NoError(b, syscall.Fdatasync(int(f.Fd())))
	}
	b.StopTimer()
	observations := float64(b.N * benchOps)
	b.ReportMetric(observations/b.Elapsed().Seconds(), "obs/s")
	b.ReportMetric(float64((cpu()-started).Microseconds())/observations, "cpu-µs/obs")
	require.NoError(b, f.Close())
}

// BenchmarkReadOp reads random durable observations, warm.
func BenchmarkReadOp(b *testing.B) {
	s, _, err := Open(Options{FS: vfs.Default, Dir: filepath.Join(b.TempDir(), "journal")})
	require.NoError(b, err)
	from, _ := attached(b, s, "bench")
	vectors := benchVectors()
	const units = 40
	for i := range uint64(units) {
		stored(b, s, benchUnit(from, 1+i*benchOps, vectors)...)
	}
	r := rand.New(rand.NewPCG(2, 2))
	b.ResetTimer()
	b.ReportAllocs()
	for range b.N {
		_, err := s.ReadOp(memory.Ordinal(1 + r.IntN(units*benchOps)))
		require.NoError(b, err)
	}
	b.StopTimer()
	require.NoError(b, s.Close())
}

// BenchmarkReplay reads everything back: what a start does twice, for the state and for the index.
func BenchmarkReplay(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "journal")
	s, _, err := Open(Options{FS: vfs.Default, Dir: dir})
	require.NoError(b, err)
	from, _ := attached(b, s, "bench")
	vectors := benchVectors()
	for i := range uint64(100) {
		stored(b, s, benchUnit(from, 1+i*benchOps, vectors)...)
	}
	b.SetBytes(s.log.Stats().Bytes)
	require.NoError(b, s.Close())
	b.ResetTimer()
	for range b.N {
		s, _, err := Open(Options{FS: vfs.Default, Dir: dir})
		require.NoError(b, err)
		require.NoError(b, s.Close())
	}
}
