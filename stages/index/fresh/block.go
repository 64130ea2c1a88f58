package fresh

import (
	"math/bits"
	"sync/atomic"
)

// Block sizes in vectors: the first blocks double, so that a tiny space stays cheap; from the cap on they are equal,
// so that a large one wastes at most one block.
const (
	firstBlock    = 16
	largestBlock  = 4096
	doublings     = 8 // blocks before the first of the largest size
	growingSlots  = largestBlock - firstBlock
	largestBlocks = (1<<32 - 1 - growingSlots) / largestBlock // what a Slot can number
)

// The two sizes and the number of doublings say the same thing.
var _ [firstBlock<<doublings - largestBlock]struct{} = [0]struct{}{}

// block is one fixed piece of the tier. Its slices are flat, so that the collector has nothing to follow.
//
//	vectors  | v0: dimension × float32 | v1 | … |
//	records  | birth, ordinal, at, older | …
//	deaths   | 0 = alive               | …       atomic: written under the readers' eyes
type block struct {
	vectors []float32
	records []record
	deaths  []atomic.Uint64
}

// record is what never changes once a slot is committed, except older: set by the writer before a reader can reach
// the slot through an id, or its version is published.
type record struct {
	birth   uint64
	ordinal uint64
	at      int64
	older   Slot
}

func newBlock(vectors, dimension int) *block {
	return &block{
		vectors: make([]float32, vectors*dimension),
		records: make([]record, vectors),
		deaths:  make([]atomic.Uint64, vectors),
	}
}

// blockSize returns how many vectors block i holds.
func blockSize(i int) int { return firstBlock << min(i, doublings) }

// locate returns the block of a slot and the slot's place in it. Block i < doublings starts at firstBlock*(2^i - 1).
func locate(s Slot) (blockIndex, offset int) {
	if s >= growingSlots {
		past := int(s) - growingSlots
		return doublings + past/largestBlock, past % largestBlock
	}
	blockIndex = bits.Len(uint(s)/firstBlock+1) - 1
	return blockIndex, int(s) - firstBlock*(1<<blockIndex-1)
}
