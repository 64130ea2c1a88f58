package fresh

import (
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/engram-stream/engram/internal/arena"
	"github.com/engram-stream/engram/internal/simd"
	"github.com/engram-stream/engram/stages/index/quant"
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

// block is one fixed piece of the tier. Its slices are flat, so that the collector has nothing to follow. A released one has
// records and deaths alone. What reads codes ends with runtime.KeepAlive of the block: they may lie outside the heap.
//
//	codes    | v0: padded dimension × int8 | v1 | … |
//	factors  | what stands beside a code   | …
//	records  | birth, ordinal, at, older   | …
//	deaths   | 0 = alive                   | …       atomic: written under the readers' eyes
type block struct {
	codes   []int8
	factors []quant.Int8
	records []record
	deaths  []atomic.Uint64
	coarse  *coarse      // nil in a tier that is not framed yet
	region  *region      // that codes and coarse are parts of; nil: they are not
	piece   *arena.Piece // that codes lie in; nil: in a region, or on the heap
}

// coarse are the 1-bit codes of a block, simd.Lanes of them interleaved byte by byte, and the columns that make estimates of
// them.
type coarse struct {
	bits                 []byte
	norms, factors, ones []float32
}

// record is what never changes once a slot is committed, except older: set by the writer before a reader can reach
// the slot through an id, or its version is published.
type record struct {
	birth   uint64
	ordinal uint64
	at      int64
	older   Slot
}

// columns is how many numbers stand beside a 1-bit code.
const columns = 3

func newBlock(vectors int, scheme *quant.Scheme) *block {
	b := emptyBlock(vectors)
	b.codes, b.piece = arena.MakeSmall[int8](vectors * scheme.Padded())
	return b
}

func emptyBlock(vectors int) *block {
	return &block{
		factors: make([]quant.Int8, vectors), records: make([]record, vectors), deaths: make([]atomic.Uint64, vectors),
	}
}

// newLargest is the i-th of the largest blocks, which have 1-bit codes; it begins a region or goes on in that of the one before.
func newLargest(i int, before *block, scheme *quant.Scheme) *block {
	if largestBlock*scheme.Padded() < leastOffHeap {
		b := newBlock(largestBlock, scheme)
		b.coarse = newCoarse(largestBlock, scheme)
		return b
	}
	b, place := emptyBlock(largestBlock), i%regionBlocks
	if b.region = before.region; place == 0 || b.region == nil {
		b.region = newRegion(scheme)
	}
	b.codes = part(b.region.codes, place, regionBlocks)
	b.coarse = coarseOf(part(b.region.bits, place, regionBlocks), part(b.region.columns, place, regionBlocks))
	return b
}

// released is what is left of a block without its codes.
func (b *block) released() *block { return &block{records: b.records, deaths: b.deaths} }

func newCoarse(vectors int, scheme *quant.Scheme) *coarse {
	return coarseOf(make([]byte, groups(vectors)*simd.Lanes*8*scheme.Words()), make([]float32, columns*vectors))
}

// coarseOf makes room for 1-bit codes; a place without one is never near.
func coarseOf(bits []byte, numbers []float32) *coarse {
	c := &coarse{
		bits:  bits,
		norms: part(numbers, 0, columns), factors: part(numbers, 1, columns), ones: part(numbers, 2, columns),
	}
	for i := range c.norms {
		c.norms[i] = float32(math.Inf(1))
	}
	return c
}

// groups is how many groups of interleaved codes a block has, the last of the smallest block not whole.
func groups(vectors int) int { return (vectors + simd.Lanes - 1) / simd.Lanes }

// put stores the code of a place.
func (c *coarse) put(offset int, code []uint64, b quant.Bits) {
	lane := c.bits[offset/simd.Lanes*simd.Lanes*8*len(code)+offset%simd.Lanes:]
	for _, word := range code {
		for j := range 8 {
			lane[j*simd.Lanes] = byte(word >> (8 * j))
		}
		lane = lane[min(8*simd.Lanes, len(lane)):]
	}
	c.norms[offset], c.factors[offset], c.ones[offset] = b.Norm, b.Factor, b.Ones
}

// code returns the int8 code of a place.
func (b *block) code(offset, padded int) []int8 {
	return b.codes[offset*padded : (offset+1)*padded : (offset+1)*padded]
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
