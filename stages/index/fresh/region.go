package fresh

import (
	"github.com/engram-stream/engram/internal/arena"
	"github.com/engram-stream/engram/stages/index/quant"
)

const (
	// regionBlocks of the largest blocks share arrays outside the Go heap, so that what huge pages round up is a few percent.
	// They go back to the system when the last of the blocks is released.
	regionBlocks = 4
	// leastOffHeap is how many bytes of codes a block has at least for that: what is rounded up stays below what is held.
	leastOffHeap = 1 << 20
)

// region holds the arrays of consecutive blocks of the largest size. A block's arrays are parts of them, and the block holds
// their memory.
type region struct {
	codes   []int8
	bits    []byte
	columns []float32
	memory  [3]*arena.Memory
}

func newRegion(scheme *quant.Scheme) *region {
	r := &region{}
	const vectors = regionBlocks * largestBlock
	r.codes, r.memory[0] = arena.Make[int8](vectors * scheme.Padded())
	r.bits, r.memory[1] = arena.Make[byte](vectors * 8 * scheme.Words())
	r.columns, r.memory[2] = arena.Make[float32](vectors * columns)
	return r
}

// part returns the i-th of n equal parts.
func part[T any](all []T, i, n int) []T {
	size := len(all) / n
	return all[i*size : (i+1)*size : (i+1)*size]
}
