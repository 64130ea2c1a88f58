package index

import (
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/engram-stream/engram/stages/index/fresh"
)

// leastIDs is the capacity of the smallest table; a table is filled to three quarters.
const leastIDs = 16

// idTable maps the 64-bit hash of a memory_id to the newest slot of that id: open addressing with linear probing, in
// flat slices without Go pointers, 12 bytes an entry. Two ids of one hash have an entry each; which is whose only the
// journal's record tells, so callers verify what they find.
//
// One writer, any number of readers, no lock:
//  1. W: a new entry stores its hash, then its slot (both atomic): a reader that sees the slot sees the hash.
//  2. W: an upsert stores the new slot in the same entry; the slot's link to the older one was written before.
//  3. W: a full table is copied into a larger one that readers get with the next published view; theirs stays as it is.
//  4. R: probe until an empty slot. Entries are never removed in place, so no probe ends early.
//  5. R: a slot born after the reader's version is walked back by its links to the one that the version sees.
type idTable struct {
	hashes []atomic.Uint64
	slots  []atomic.Uint32 // slot+1; 0: empty
	used   int             // the writer's own
}

// bytes returns how many the table takes. Anyone may ask.
func (t *idTable) bytes() int { return len(t.hashes)*8 + len(t.slots)*4 }

func newIDTable(capacity int) *idTable {
	return &idTable{hashes: make([]atomic.Uint64, capacity), slots: make([]atomic.Uint32, capacity)}
}

// probe walks the entries of a hash. The zero position is where the hash wants to be.
func (t *idTable) start(hash uint64) int { return int(hash & uint64(len(t.slots)-1)) }
func (t *idTable) next(at int) int       { return (at + 1) & (len(t.slots) - 1) }

// find returns the next entry of the hash from position at on, or false and the empty position that ends the probe.
func (t *idTable) find(hash uint64, at int) (position int, slot fresh.Slot, found bool) {
	for {
		s := t.slots[at].Load()
		if s == 0 {
			return at, fresh.None, false
		}
		if t.hashes[at].Load() == hash {
			return at, fresh.Slot(s - 1), true
		}
		at = t.next(at)
	}
}

// set points the entry at a position to a slot; found says whether it is one of find's, or new.
func (t *idTable) set(position int, hash uint64, slot fresh.Slot, found bool) {
	if !found {
		t.hashes[position].Store(hash)
		t.used++
	}
	t.slots[position].Store(uint32(slot) + 1)
}

// full reports whether one more entry needs a larger table.
func (t *idTable) full() bool { return (t.used+1)*4 > len(t.slots)*3 }

// grown returns a copy with room, without the entries whose slot keep drops.
func (t *idTable) grown(keep func(fresh.Slot) bool) *idTable {
	kept := 0
	t.each(keep, func(uint64, fresh.Slot) { kept++ })
	capacity := leastIDs
	for (kept+1)*2 > capacity {
		capacity *= 2
	}
	larger := newIDTable(capacity)
	t.each(keep, func(hash uint64, slot fresh.Slot) {
		larger.add(hash, slot)
	})
	return larger
}

// add enters an id that has no entry.
func (t *idTable) add(hash uint64, slot fresh.Slot) {
	at := t.start(hash)
	for t.slots[at].Load() != 0 {
		at = t.next(at)
	}
	t.set(at, hash, slot, false)
}

func (t *idTable) each(keep func(fresh.Slot) bool, visit func(hash uint64, slot fresh.Slot)) {
	for i := range t.slots {
		if s := t.slots[i].Load(); s != 0 && keep(fresh.Slot(s-1)) {
			visit(t.hashes[i].Load(), fresh.Slot(s-1))
		}
	}
}

// hasher returns xxHash64 under a seed. Clients choose their ids: with a seed that they do not know they cannot choose
// their collisions.
func hasher(seed uint64) func(id string) uint64 {
	return func(id string) uint64 {
		var d xxhash.Digest
		d.ResetWithSeed(seed)
		_, _ = d.WriteString(id) // never fails, by its documentation
		return d.Sum64()
	}
}
