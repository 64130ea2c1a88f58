package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// unloaded is what stays in memory of a space that nobody has used for long: where its observations are in the journal, and which
// of them are dead. A few bytes an observation. Immutable.
type unloaded struct {
	slots   []byte // three varints a slot: birth and ordinal, less those of the slot before, and death less birth, or 0
	count   int
	graphed memory.Version
}

func newUnloaded(v *view) *unloaded {
	u := &unloaded{count: v.tier.Len(), graphed: v.merged.coverage.Load().version}
	var before fresh.Record
	for slot := range fresh.Slot(u.count) {
		r := v.tier.Record(slot)
		u.slots = binary.AppendUvarint(u.slots, r.Birth-before.Birth)
		u.slots = binary.AppendUvarint(u.slots, r.Ordinal-before.Ordinal)
		u.slots = binary.AppendUvarint(u.slots, max(r.Death, r.Birth)-r.Birth)
		before = r
	}
	u.slots = bytes.Clone(u.slots) // no more than that
	return u
}

// each calls visit for the slots in order: their birth, ordinal and death are set.
func (u *unloaded) each(visit func(fresh.Record) error) error {
	var r fresh.Record
	rest := u.slots
	next := func() uint64 {
		n, size := binary.Uvarint(rest)
		rest = rest[size:]
		return n
	}
	for range u.count {
		r.Birth += next()
		r.Ordinal += next()
		if r.Death = next(); r.Death > 0 {
			r.Death += r.Birth
		}
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// unload lets go of a space that is not in use, save what it takes to find it in the journal again. The merger calls it.
func (m *merger) unload(ctx context.Context, sp *space) {
	v := sp.view.Load()
	if v.tier == nil || v.fault != nil || sp.dropped.Load() || v.merged.failed.Load() {
		return
	}
	m.keep(ctx, sp, v.merged, stopShare)
	if ctx.Err() != nil {
		return // the server stops, and saves what was not saved now
	}
	if !sp.tryTake() {
		return // somebody writes
	}
	defer sp.release()
	if sp.view.Load() != v || sp.used.Load() {
		return
	}
	before := sp.w
	sp.w = writer{
		hash: before.hash, journal: before.journal, epochs: before.epochs,
		version: before.version, floor: before.floor, live: before.live, endings: before.endings, unloaded: newUnloaded(v),
	}
	sp.publish()
}

// idleTurns is how many times a space is looked at before it is unloaded; in between nobody has used it.
const idleTurns = 4

// unloadIdle unloads what has not been used for so many turns.
func (m *merger) unloadIdle(ctx context.Context, spaces *sync.Map) {
	spaces.Range(func(_, held any) bool {
		sp := held.(*space)
		if sp.used.Swap(false) {
			sp.unused = 0
		} else if sp.unused++; sp.unused >= idleTurns {
			m.unload(ctx, sp)
		}
		return ctx.Err() == nil
	})
}

// claim makes the caller the one who changes the space's writer, and the space one that is loaded, until release. An error says
// that ctx ended; then nothing is claimed.
func (ix *index) claim(ctx context.Context, sp *space) error {
	if err := sp.take(ctx); err != nil {
		return err
	}
	err := ix.reload(ctx, sp)
	if err != nil {
		sp.release()
	}
	return err
}

// take makes the caller the one who changes the space's writer, until release. An error says that ctx ended.
func (sp *space) take(ctx context.Context) error {
	select {
	case sp.carry <- struct{}{}:
		return nil
	case <-ctx.Done():
		return contextFault(ctx)
	}
}

// tryTake is take for who does not wait; false: somebody else has it.
func (sp *space) tryTake() bool {
	select {
	case sp.carry <- struct{}{}:
		return true
	default:
		return false
	}
}

// release lets others change the space's writer, and those look again who found that somebody did.
func (sp *space) release() {
	<-sp.carry
	sp.wake()
}

// touch notes that the space is in use.
func (sp *space) touch() {
	if !sp.used.Load() {
		sp.used.Store(true)
	}
}

// reload brings a space back that the caller has taken, if it is unloaded, as it was: from where its observations are in the
// journal, and else from all of the journal. An error says that ctx ended.
func (ix *index) reload(ctx context.Context, sp *space) error {
	sp.touch()
	if sp.w.unloaded == nil {
		return nil
	}
	w := ix.newWriter()
	w.epochs, w.restore, w.scanned = &sp.epochs, ix.restorer(sp), sp.failures.Load() >= mostFailures
	err := guarded(func() error {
		return w.takeBack(ctx, &sp.w, func() memory.Space {
			description, _ := ix.journal.Space(sp.name)
			return description
		})
	})
	switch {
	case err == nil:
		sp.w = w
	case ctx.Err() != nil:
		return contextFault(ctx)
	default:
		if err := ix.rebuildWhole(ctx, sp, err); err != nil {
			return err
		}
	}
	sp.publish()
	ix.merger.offer(sp)
	return nil
}

// takeBack makes a new writer what an unloaded one was.
func (w *writer) takeBack(ctx context.Context, from *writer, describe func() memory.Space) error {
	err := from.unloaded.each(func(r fresh.Record) error {
		if ctx.Err() != nil {
			return contextFault(ctx)
		}
		op, err := readObserve(w.journal, r)
		if err != nil {
			return err
		}
		return w.takeBackOne(op.Observe, r, describe)
	})
	w.version, w.floor, w.live, w.endings = from.version, from.floor, from.live, from.endings
	if err == nil {
		err = w.whole()
	}
	return err
}

func (w *writer) takeBackOne(o *memory.Observation, r fresh.Record, describe func() memory.Space) error {
	if err := w.fit(describe, len(o.Vector)); err != nil {
		return err
	}
	slot := w.tier.Prepare(fresh.Entry{Vector: o.Vector, Birth: r.Birth, Ordinal: r.Ordinal, At: instant(o.At())})
	w.tier.Commit()
	if r.Death != 0 {
		w.kill(slot, memory.Version(r.Death))
	} else {
		if w.ids.full() {
			w.ids = w.ids.grown(w.remembered)
		}
		w.ids.add(w.hash(o.ID), slot)
	}
	return w.restored(slot)
}

// loader loads spaces that somebody asks for, so many at a time. It goes on when who asked has left: the next one finds more done.
type loader struct {
	// immutable
	ctx    context.Context
	cancel context.CancelFunc
	turns  chan struct{}

	mu    sync.Mutex // makes sure that nothing begins once stop waits
	group sync.WaitGroup
}

func newLoader() *loader {
	l := &loader{turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// stop breaks off what is being loaded, and waits for it.
func (l *loader) stop() {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	l.group.Wait()
}

// begin runs fn in the background, unless the loader has been stopped.
func (l *loader) begin(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() == nil {
		l.group.Go(fn)
	}
}

// load begins to load a space, unless that is under way. When it is done, or given up, the space's bell rings.
func (ix *index) load(sp *space) {
	l := ix.loader
	if sp.loading.Swap(true) {
		return
	}
	l.begin(func() {
		defer sp.wake()
		defer sp.loading.Store(false)
		for !ix.tryLoad(sp) {
			if sp.take(l.ctx) != nil {
				return
			}
			sp.release()
		}
	})
}

// tryLoad loads a space when the loader has a turn for it, unless ctx ends. false: somebody writes, who loads it for that. Nobody
// waits for a writer with a turn in hand: the writer may wait for the disk, and other spaces for the turn; nor for a turn with the
// space in hand, which its writer may be waiting for.
func (ix *index) tryLoad(sp *space) bool {
	l := ix.loader
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-l.ctx.Done():
		return true
	}
	if !sp.tryTake() {
		return false
	}
	defer sp.release()
	_ = ix.reload(l.ctx, sp) // fails only when ctx ends
	return true
}

// loaded returns the view of a space once it is loaded. An error says that ctx ended, or that the server stops.
func (ix *index) loaded(ctx context.Context, sp *space) (*view, error) {
	sp.touch()
	for {
		woken := sp.waiting.next()
		sp.pause()
		v := sp.view.Load()
		if v.unloaded == nil || sp.dropped.Load() {
			return v, nil
		}
		if ix.loader.ctx.Err() != nil {
			return nil, fault.New(fault.Unavailable, "the server stops").WithSubject(fmt.Sprintf("space %q", sp.name))
		}
		ix.load(sp)
		select {
		case <-woken:
		case <-ix.loader.ctx.Done():
		case <-ctx.Done():
			return nil, contextFault(ctx)
		}
	}
}
