package log

import (
	"cmp"
	"slices"
)

// view is what readers see: an immutable snapshot that the committer publishes with one atomic store after each sync.
// Its slices share their arrays with newer views; elements below their lengths never change.
type view struct {
	segments []*segment
	entries  []entry // one a record with items, by rising ordinal
	lsn      LSN     // the last durable record
	ordinal  Ordinal // the last durable item
}

// entry is a record's place: 16 bytes of memory a record.
type entry struct {
	ordinal Ordinal
	segment uint32 // index into segments
	offset  uint32
}

// find returns the entry of the record that holds the item, and the item's index in it.
func (v *view) find(o Ordinal) (e entry, index int, ok bool) {
	if o == 0 || o > v.ordinal {
		return entry{}, 0, false
	}
	i, exact := slices.BinarySearchFunc(v.entries, o, func(e entry, o Ordinal) int { return cmp.Compare(e.ordinal, o) })
	if !exact {
		i--
	}
	e = v.entries[i]
	return e, int(o - e.ordinal), true
}
