package index

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

// Tiny spaces, a hundred memories each, must cost little more than their vectors: ten thousand of them are a use case,
// a thousand measure it.
func TestTinySpacesStayCheap(t *testing.T) {
	const spaces, perSpace, dimension = 1000, 100, 8
	j := newFakeJournal()
	ix := newIndex(j, hasher(1), nil, newMerger(mergeLimits{}, 0, &snapshots{}, nil))
	shape := memory.Space{Dimension: dimension, Metric: memory.Dot}
	steps := make([]step, perSpace)
	for i := range steps {
		op := observe(numbered(i), make([]float32, dimension)...)
		steps[i] = step{op: &op, version: memory.Version(i + 1), ordinal: 1}
	}
	before := heap()
	for i := range spaces {
		name := fmt.Sprintf("space %d", i)
		j.createSpace(name, dimension, memory.Dot)
		sp := ix.ensure(name, uint64(i+1))
		require.NoError(t, sp.w.prepare(func() memory.Space { return shape }, steps))
		_, err := sp.w.apply(steps)
		require.NoError(t, err)
		sp.publish()
	}
	perSpaceBytes := (heap() - before) / spaces
	runtime.KeepAlive(ix)
	t.Logf("%d bytes a space, %d of them vectors", perSpaceBytes, perSpace*dimension*4)
	// 112 slots of 32+32 bytes, 256 table places of 12, some 1 KiB of fixed parts; doubled for the allocator's classes.
	require.Less(t, perSpaceBytes, uint64(24<<10))
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
