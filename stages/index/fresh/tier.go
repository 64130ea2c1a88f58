package fresh

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/engram-stream/engram/stages/index/quant"
)

// Slot numbers the vectors of one tier from 0, in the order they were prepared.
type Slot uint32

// None is no slot.
const None = ^Slot(0)

// Entry is one vector to add. The tier keeps codes of it. Births rise strictly from entry to entry, from 1.
type Entry struct {
	Vector  []float32
	Birth   uint64 // the version from which it is visible
	Ordinal uint64 // the address of its payload
	At      int64  // when it happened, on the caller's scale; see EachUpTo
}

// Record is what the tier knows of a slot.
type Record struct {
	Birth   uint64
	Ordinal uint64
	At      int64
	Death   uint64 // the version from which it is no more; 0: alive
	Older   Slot   // the slot that this one replaced, or None
}

// VisibleAt reports whether the record belongs to the snapshot at a version: birth <= version < death.
func (r Record) VisibleAt(version uint64) bool {
	return r.Birth <= version && (r.Death == 0 || version < r.Death)
}

// Tier holds the vectors of one space. The package's documentation says who may call what, and when.
type Tier struct {
	// immutable
	scheme *quant.Scheme
	metric Metric

	// atomic
	directory atomic.Pointer[directory] // replaced by the writer, and by Release
	end       atomic.Uint32             // slots below it are committed; written by the writer only

	// the writer's own
	tail Slot // slots from end to tail are prepared
}

// encoder is room to encode a vector in. Tiers share them: one of their own would be a quarter of what a tiny tier takes.
type encoder struct {
	rotated quant.Rotated
	bits    []uint64
	scratch quant.Scratch
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// code returns room for a 1-bit code.
func (e *encoder) code(words int) []uint64 {
	if cap(e.bits) < words {
		e.bits = make([]uint64, words)
	}
	return e.bits[:words]
}

// directory is where the blocks are. Immutable.
type directory struct {
	blocks   []*block
	frame    *quant.Frame // nil: there are no 1-bit codes yet
	released int          // blocks from the first on that have no codes any more
}

// New returns an empty tier; it takes no memory for vectors until the first is prepared. A dimension below 1 panics.
func New(dimension int, metric Metric) *Tier {
	if dimension < 1 {
		panic(fmt.Sprintf("fresh: dimension %d", dimension))
	}
	t := &Tier{scheme: quant.For(dimension), metric: metric}
	t.directory.Store(&directory{})
	return t
}

// Dimension returns the number of components of every vector.
func (t *Tier) Dimension() int { return t.scheme.Dimension() }

// Metric returns the metric.
func (t *Tier) Metric() Metric { return t.metric }

// Len returns the number of committed slots, dead ones included.
func (t *Tier) Len() int { return int(t.end.Load()) }

// Prepare encodes an entry past the published end and returns the slot that Commit will publish it under. Writer only.
// A vector of another dimension panics.
func (t *Tier) Prepare(e Entry) Slot {
	en := encoders.Get().(*encoder)
	defer encoders.Put(en)
	t.scheme.Rotate(&en.rotated, e.Vector)
	if t.metric == Cosine {
		en.rotated.Normalize()
	}
	slot := t.tail
	index, offset := locate(slot)
	t.growTo(index)
	d := t.directory.Load()
	b := d.blocks[index]
	b.factors[offset] = quant.EncodeInt8(b.code(offset, t.scheme.Padded()), &en.rotated)
	if d.frame != nil {
		bits := en.code(t.scheme.Words())
		b.coarse.put(offset, bits, t.metric.coarse(d.frame.Encode(bits, &en.rotated, &en.scratch)))
	}
	b.records[offset] = record{birth: e.Birth, ordinal: e.Ordinal, at: e.At, older: None}
	runtime.KeepAlive(b)
	t.tail++
	return slot
}

// growTo makes sure that block index exists. Readers keep the directory they loaded: it is replaced, never changed.
func (t *Tier) growTo(index int) {
	if index < len(t.directory.Load().blocks) {
		return
	}
	if index >= doublings+largestBlocks {
		panic("fresh: a tier cannot number more vectors")
	}
	for {
		if t.tryGrow(index) {
			return
		} // else codes have been released meanwhile
	}
}

func (t *Tier) tryGrow(index int) bool {
	d := t.directory.Load()
	longer := &directory{blocks: make([]*block, len(d.blocks), len(d.blocks)+1), frame: d.frame, released: d.released}
	copy(longer.blocks, d.blocks)
	if index == doublings {
		t.enframe(longer)
	}
	if index < doublings {
		longer.blocks = append(longer.blocks, newBlock(blockSize(index), t.scheme))
	} else {
		longer.blocks = append(longer.blocks, newLargest(index-doublings, longer.blocks[index-1], t.scheme))
	}
	return t.directory.CompareAndSwap(d, longer)
}

// enframe gives a directory that has grown large a frame, around the mean of what is in it, and blocks with 1-bit codes in
// the place of those without. Readers of the old one go on without.
func (t *Tier) enframe(d *directory) {
	place := func(i int) (*block, int) {
		index, offset := locate(Slot(i))
		return d.blocks[index], offset
	}
	padded := t.scheme.Padded()
	d.frame = t.scheme.NewFrame(growingSlots, func(i int) ([]int8, quant.Int8) {
		b, offset := place(i)
		return b.code(offset, padded), b.factors[offset]
	})
	en := encoders.Get().(*encoder)
	defer encoders.Put(en)
	code := en.code(t.scheme.Words())
	for i, b := range d.blocks {
		coded := *b
		coded.coarse = newCoarse(len(b.records), t.scheme)
		d.blocks[i] = &coded
	}
	for i := range growingSlots {
		b, offset := place(i)
		bits := d.frame.EncodeAgain(code, b.code(offset, padded), b.factors[offset], &en.scratch)
		b.coarse.put(offset, code, t.metric.coarse(bits))
	}
}

// Commit publishes everything prepared. Writer only.
func (t *Tier) Commit() { t.end.Store(uint32(t.tail)) }

// Discard forgets everything prepared since the last Commit. Writer only.
func (t *Tier) Discard() { t.tail = Slot(t.end.Load()) }

// Kill ends a committed slot at a version above every published one. Writer only.
func (t *Tier) Kill(s Slot, version uint64) {
	b, offset := t.at(s)
	b.deaths[offset].Store(version)
}

// Replace notes that slot s replaced an older slot. Writer only, before any reader can learn of s from its id.
func (t *Tier) Replace(s, older Slot) {
	b, offset := t.at(s)
	b.records[offset].older = older
}

// Birth returns the version from which a committed slot is visible. Unlike Record it may be asked of a slot above the
// reader's version: that the slot is linked to an older one may still be to come.
func (t *Tier) Birth(s Slot) uint64 {
	b, offset := t.at(s)
	return b.records[offset].birth
}

// Record returns what is known of a committed slot. A reader asks for those up to its version, and for those that an id
// led to.
func (t *Tier) Record(s Slot) Record {
	b, offset := t.at(s)
	return b.record(offset)
}

func (b *block) record(offset int) Record {
	r := &b.records[offset]
	return Record{Birth: r.birth, Ordinal: r.ordinal, At: r.at, Death: b.deaths[offset].Load(), Older: r.older}
}

// EachUpTo calls visit for each committed slot that is visible at a version and whose At is at most the given one, by
// rising version, until visit fails or ctx ends; that error is returned. It looks at every slot: some ms a million.
func (t *Tier) EachUpTo(ctx context.Context, version uint64, at int64, visit func(Slot, Record) error) error {
	end, blocks := Slot(t.end.Load()), t.directory.Load().blocks
	for first := Slot(0); first < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		index, offset := locate(first)
		count := min(int(end-first), blockSize(index)-offset)
		for i := range count {
			switch r := &blocks[index].records[offset+i]; {
			case r.birth > version:
				return nil
			case r.at > at:
				continue
			}
			if r := blocks[index].record(offset + i); r.VisibleAt(version) {
				if err := visit(first+Slot(i), r); err != nil {
					return err
				}
			}
		}
		first += Slot(count)
	}
	return nil
}

func (t *Tier) at(s Slot) (b *block, offset int) {
	index, offset := locate(s)
	return t.directory.Load().blocks[index], offset
}

// Scheme returns how the tier's vectors are encoded.
func (t *Tier) Scheme() *quant.Scheme { return t.scheme }
