package fresh

import (
	"unsafe"

	"github.com/engram-stream/engram/stages/index/quant"
)

const (
	recordBytes = int(unsafe.Sizeof(record{})) + 8 // and its death
	factorBytes = int(unsafe.Sizeof(quant.Int8{}))
	columnBytes = 4 * columns
)

// Bytes returns how many bytes the blocks have for codes that are not released, with what stands beside them, and for
// records. Safe from any goroutine; it takes some ns.
func (t *Tier) Bytes() (codes, records int) {
	d := t.directory.Load()
	slots := int(slotsOf(len(d.blocks)))
	coded := slots - int(slotsOf(d.released))
	codes = coded * (t.scheme.Padded() + factorBytes)
	if d.frame != nil {
		codes += coded * (8*t.scheme.Words() + columnBytes)
	}
	return codes, slots * recordBytes
}

// slotsOf returns how many slots so many blocks have.
func slotsOf(blocks int) Slot {
	if blocks <= doublings {
		return Slot(firstBlock<<blocks - firstBlock)
	}
	return Slot(growingSlots + (blocks-doublings)*largestBlock)
}
