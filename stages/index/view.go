package index

import (
	"fmt"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// view is a space as readers see it: published whole, by one atomic store, and never changed. The tier and the table
// behind it go on growing; what they gained since lies above the view's version and is not seen.
type view struct {
	version memory.Version
	live    uint64      // memories alive at the version
	tier    *fresh.Tier // nil until the first vector
	merged  *merged     // beside the tier
	ids     *idTable    // nil until the first vector
	// unloaded stands for these three while nobody uses the space; nil: they are here.
	unloaded *unloaded
	endings  endings // of memories that were forgotten up to the version
	fault    *fault.Error
}

// graphed is the version up to which the graph is searched; 0: there is none.
func (v *view) graphed() memory.Version {
	switch {
	case v.unloaded != nil:
		return v.unloaded.graphed
	case v.merged != nil:
		return min(v.merged.coverage.Load().version, v.version)
	}
	return 0
}

// memoryAt is a memory found by its id.
type memoryAt struct {
	slot   fresh.Slot
	record fresh.Record
	op     memory.Op
}

// lookup finds the memory of an id that is alive at the view's version, verified against its record in the journal.
func (v *view) lookup(id string, hash func(string) uint64, journal Journal) (memoryAt, bool, error) {
	if v.ids == nil {
		return memoryAt{}, false, nil
	}
	h := hash(id)
	for at := v.ids.start(h); ; at = v.ids.next(at) {
		position, slot, found := v.ids.find(h, at)
		if !found {
			return memoryAt{}, false, nil
		}
		at = position
		slot, record, visible := v.visible(slot)
		if !visible {
			continue
		}
		op, err := readObserve(journal, record)
		if err != nil {
			return memoryAt{}, false, err
		}
		if op.Observe.ID == id {
			return memoryAt{slot: slot, record: record, op: op}, true, nil
		}
	}
}

// visible walks from the newest slot of an id to the one that the view's version sees. It passes only slots born
// since the view was published.
func (v *view) visible(slot fresh.Slot) (fresh.Slot, fresh.Record, bool) {
	for slot != fresh.None {
		r := v.tier.Record(slot)
		if r.Birth <= uint64(v.version) {
			return slot, r, r.VisibleAt(uint64(v.version))
		}
		slot = r.Older
	}
	return fresh.None, fresh.Record{}, false
}

// readObserve reads the observation behind a slot.
func readObserve(journal Journal, r fresh.Record) (memory.Op, error) {
	op, err := journal.ReadOp(memory.Ordinal(r.Ordinal))
	if err != nil {
		return op, fmt.Errorf("read memory %d of the journal: %w", r.Ordinal, err)
	}
	if op.Kind != memory.OpObserve || op.Observe == nil {
		return op, fault.New(fault.Corrupt, "record %d of the journal is no observation", r.Ordinal)
	}
	return op, nil
}
