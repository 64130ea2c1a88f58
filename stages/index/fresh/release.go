package fresh

import (
	"slices"

	"github.com/engram-stream/engram/stages/index/quant"
)

// Frame returns what the 1-bit codes are relative to; nil until the tier has grown large enough to have them. It does not
// change afterwards. Safe from any goroutine.
func (t *Tier) Frame() *quant.Frame { return t.directory.Load().frame }

// Code returns the int8 code of a committed slot that is not released, and what stands beside it. Safe from any goroutine.
// The code may lie outside the Go heap, until the slot is released or the tier is out of reach: who reads it ends with
// runtime.KeepAlive of the tier. A released slot panics.
func (t *Tier) Code(s Slot) ([]int8, quant.Int8) {
	b, offset := t.at(s)
	if b.codes == nil {
		panic("fresh: the code of a released slot")
	}
	return b.code(offset, t.scheme.Padded()), b.factors[offset]
}

// Release lets go of the codes of all whole blocks below a slot, as far as slots are committed; their records, births and
// deaths stay. A tier without a frame keeps all. One goroutine calls it, which need not be the writer.
//
// Another index has the slots by then, and readers know of it. A scan that began before goes on with the codes that it has;
// one that begins later does not look at what is released, even where its query begins earlier: whoever releases waits until
// no reader is left that knows less of the other index.
func (t *Tier) Release(through Slot) {
	index, _ := locate(min(through, Slot(t.end.Load())))
	for {
		if t.tryRelease(index) {
			return
		} // else the tier has grown meanwhile
	}
}

func (t *Tier) tryRelease(index int) bool {
	d := t.directory.Load()
	if d.frame == nil || index <= d.released {
		return true
	}
	less := &directory{blocks: slices.Clone(d.blocks), frame: d.frame, released: index}
	for i := d.released; i < index; i++ {
		less.blocks[i] = d.blocks[i].released()
	}
	return t.directory.CompareAndSwap(d, less)
}

func (d *directory) firstCoded() Slot { return slotsOf(d.released) }
