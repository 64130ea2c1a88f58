package index

import (
	"context"
	"fmt"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/epoch"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// step is one durable op, or one that is about to be.
type step struct {
	op      *memory.Op
	version memory.Version
	ordinal memory.Ordinal
}

// writer holds what a space's owner changes: the state above the published version. Not safe for concurrent use.
type writer struct {
	hash    func(string) uint64
	journal Journal
	epochs  *epoch.Epochs // of the space's readers
	scanned bool          // it gets no graph

	tier    *fresh.Tier
	merged  *merged // beside the tier
	ids     *idTable
	version memory.Version // the last one applied
	floor   memory.Version // the last one published
	live    uint64
	endings endings
	// unloaded stands for tier, merged and ids while nobody uses the space.
	unloaded *unloaded

	restore   func(*merged) *restoring // for the first tier; nil: what is kept of the space's graph is not asked for
	restoring *restoring               // nil: no more
}

// prepare copies the vectors of the steps into the tier's unpublished tail. After an error that holds a part of them:
// discard it.
func (w *writer) prepare(describe func() memory.Space, steps []step) error {
	for _, s := range steps {
		if s.op.Kind != memory.OpObserve {
			continue
		}
		if err := w.fit(describe, len(s.op.Observe.Vector)); err != nil {
			return err
		}
		w.tier.Prepare(fresh.Entry{
			Vector: s.op.Observe.Vector, Birth: uint64(s.version), Ordinal: uint64(s.ordinal), At: instant(s.op.Observe.At()),
		})
	}
	return nil
}

// fit makes sure that the tier takes vectors of the space's dimension. The space is asked for while there is no
// committed vector: until then the append that fixed the dimension can fail, and the next one fix another.
func (w *writer) fit(describe func() memory.Space, dimension int) error {
	if w.tier != nil && w.tier.Len() > 0 {
		if w.tier.Dimension() != dimension {
			return fmt.Errorf("a vector of %d components in a space of %d", dimension, w.tier.Dimension())
		}
		return nil
	}
	space := describe()
	if space.Dimension != dimension {
		return fmt.Errorf("a vector of %d components where the journal's space has %d", dimension, space.Dimension)
	}
	metric, err := tierMetric(space.Metric)
	if err != nil {
		return err
	}
	if w.tier != nil && w.tier.Dimension() == dimension && w.tier.Metric() == metric {
		return nil
	}
	w.tier, w.ids = fresh.New(dimension, metric), newIDTable(leastIDs)
	w.merged = newMerged(w.tier, w.epochs)
	w.merged.scanned = w.scanned
	if w.restore != nil {
		w.restoring = w.restore(w.merged)
	}
	return nil
}

func tierMetric(m memory.Metric) (fresh.Metric, error) {
	switch m {
	case memory.Cosine:
		return fresh.Cosine, nil
	case memory.Dot:
		return fresh.Dot, nil
	case memory.L2:
		return fresh.L2, nil
	}
	return 0, fmt.Errorf("metric %d is unknown", m)
}

// discard forgets what was prepared.
func (w *writer) discard() {
	if w.tier != nil {
		w.tier.Discard()
	}
}

// apply makes the prepared steps part of the writer's state, in version order: vectors, then ids and deaths. It
// returns how many memories each forget matched. After an error the state is broken and must be rebuilt.
func (w *writer) apply(steps []step) (matched []uint64, err error) {
	if err := w.inOrder(steps); err != nil {
		return nil, err
	}
	var slot fresh.Slot
	if w.tier != nil {
		slot = fresh.Slot(w.tier.Len())
		w.tier.Commit()
	}
	matched = make([]uint64, len(steps))
	for i, s := range steps {
		switch s.op.Kind {
		case memory.OpObserve:
			if err = w.observe(s.op.Observe.ID, slot, s.version); err == nil {
				err = w.restored(slot)
			}
			slot++
		case memory.OpForget:
			matched[i], err = w.forget(s.op.Forget, s.version)
		}
		if err != nil {
			return nil, fmt.Errorf("apply version %d: %w", s.version, err)
		}
		w.version = s.version
	}
	return matched, nil
}

// inOrder checks that the versions go on where the writer stands: a hole means that ops were lost on their way here.
func (w *writer) inOrder(steps []step) error {
	for i, s := range steps {
		if want := w.version + memory.Version(i) + 1; s.version != want {
			return fmt.Errorf("version %d came where %d was due", s.version, want)
		}
	}
	return nil
}

// observe gives an id its new slot; the older one, if alive, dies at the same version.
func (w *writer) observe(id string, slot fresh.Slot, version memory.Version) error {
	if w.ids.full() {
		w.ids = w.ids.grown(w.remembered)
	}
	h := w.hash(id)
	position, older, found, err := w.find(h, id)
	if err != nil {
		return err
	}
	if !found {
		w.live++
	} else {
		w.tier.Replace(slot, older)
		if w.tier.Record(older).Death == 0 {
			w.kill(older, version)
		} else {
			w.live++
		}
	}
	w.ids.set(position, h, slot, found)
	return nil
}

// restored gives a graph that comes back the vector of a slot.
func (w *writer) restored(slot fresh.Slot) error {
	if w.restoring == nil {
		return nil
	}
	done, err := w.restoring.put(w.merged, slot)
	if done {
		w.restoring = nil
	}
	return err
}

// whole says what a graph that came back lacks, now that all has been replayed.
func (w *writer) whole() error {
	switch {
	case w.restoring != nil:
		return w.restoring.short(w.version)
	case w.merged != nil:
		return w.merged.whole()
	}
	return nil
}

// kill ends a slot at a version.
func (w *writer) kill(slot fresh.Slot, version memory.Version) {
	w.tier.Kill(slot, uint64(version))
	w.merged.killed.Add(1)
}

// remembered drops the ids that are forgotten: readers get the new table with a view at or above their deaths.
func (w *writer) remembered(slot fresh.Slot) bool { return w.tier.Record(slot).Death == 0 }

// forget ends what is alive of a forget's target, each memory once.
func (w *writer) forget(f *memory.Forget, version memory.Version) (matched uint64, err error) {
	if w.ids == nil {
		return 0, nil
	}
	end := func(slot fresh.Slot, r fresh.Record) error {
		covered, err := covers(f, r, w.journal)
		if covered {
			w.kill(slot, version)
			w.live--
			matched++
			w.endings.slots = append(w.endings.slots, slot)
		}
		return err
	}
	defer func() { w.endings.mark(version, f.ReceivedAt) }()
	if len(f.IDs) == 0 {
		err = w.tier.EachUpTo(context.Background(), uint64(version)-1, instant(f.ObservedBefore), end)
		return matched, err
	}
	for _, id := range f.IDs {
		_, slot, found, err := w.find(w.hash(id), id)
		if err != nil {
			return matched, err
		}
		if !found {
			continue
		}
		if r := w.tier.Record(slot); r.Death == 0 {
			if err := end(slot, r); err != nil {
				return matched, err
			}
		}
	}
	return matched, nil
}

// find returns the entry of an id, verified against the journal's record, or the empty position where it belongs.
func (w *writer) find(h uint64, id string) (position int, slot fresh.Slot, found bool, err error) {
	for at := w.ids.start(h); ; at = w.ids.next(position) {
		position, slot, found = w.ids.find(h, at)
		if !found {
			return position, slot, false, nil
		}
		op, err := readObserve(w.journal, w.tier.Record(slot))
		if err != nil {
			return position, slot, false, err
		}
		if op.Observe.ID == id {
			return position, slot, true, nil
		}
	}
}

// publish returns the view of what has been applied.
func (w *writer) publish() *view {
	w.floor = w.version
	v := &view{version: w.version, live: w.live, endings: w.endings, unloaded: w.unloaded}
	if w.tier != nil && w.tier.Len() > 0 {
		v.tier, v.merged, v.ids = w.tier, w.merged, w.ids
	}
	return v
}

// damaged returns the fault of a space whose index could not be rebuilt.
func damaged(space string, cause error) *fault.Error {
	kind := fault.Unavailable
	if fault.KindOf(cause) == fault.Corrupt {
		kind = fault.Corrupt
	}
	return fault.Wrap(kind, cause, "its index could not be rebuilt from the journal").
		WithSubject(fmt.Sprintf("space %q", space)).WithReason("SPACE_DEGRADED").
		WithHint("nothing stored is lost; restart the server to rebuild the index, and see the server's log")
}
