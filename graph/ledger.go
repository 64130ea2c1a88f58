package graph

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// Outcome is what became of one offered item: delivered by a sink (Err nil) or rejected with a reason.
type Outcome struct {
	Mark uint8 // the last mark a stage set on it; 0 if none
	Err  error
}

// Settler learns the outcome of each offered item, exactly once an item. It is called from engine goroutines,
// concurrently, and must not block.
type Settler interface {
	Settle(item int, o Outcome)
}

// ledger is the delivery record of one offer: a batch is the unit of work, an item the unit of ack.
type ledger struct {
	// Set before the first item moves, never changed.
	ctx     context.Context // values only: the trace the items came under; nil outside an engine
	since   time.Time
	settler Settler
	items   []ledgerItem
	book    *book // the engine's list of open ledgers; nil outside an engine

	open atomic.Int64 // items not settled yet

	prev, next *ledger // guarded by book.mu
}

// place says where an offered item is: at a node (its queue included), or settled.
type place uint32

const (
	outside   place = 0                  // in no engine
	settled   place = math.MaxUint32     // has its verdict
	abandoned place = math.MaxUint32 - 1 // given its verdict by the engine while a stage would not let go of it
)

// ledgerItem is written by the item's one owner. Its place is moved by compare-and-swap, so that a second verdict or
// a second sender is caught.
type ledgerItem struct {
	at      atomic.Uint32 // a place
	bytes   int32
	charged atomic.Pointer[Budget]
	mark    uint8
}

func newLedger(settler Settler, bytes []int32) *ledger {
	l := &ledger{settler: settler, items: make([]ledgerItem, len(bytes))}
	for i, n := range bytes {
		l.items[i].bytes = n
	}
	l.open.Store(int64(len(bytes)))
	return l
}

type moveResult uint8

const (
	moved moveResult = iota
	movedAbandoned
	movedAstray
)

func (it *ledgerItem) move(from, to place) moveResult {
	if it.at.CompareAndSwap(uint32(from), uint32(to)) {
		return moved
	}
	if place(it.at.Load()) == abandoned {
		return movedAbandoned
	}
	return movedAstray
}

func (it *ledgerItem) place() place { return place(it.at.Load()) }

func (it *ledgerItem) release() {
	if b := it.charged.Swap(nil); b != nil {
		b.give(1, int64(it.bytes))
	}
}

// settle gives item i its verdict on behalf of its owner.
func (l *ledger) settle(i int, o Outcome) {
	it := &l.items[i]
	switch place(it.at.Swap(uint32(settled))) {
	case settled:
		panic("graph: item settled twice")
	case abandoned:
		return
	}
	o.Mark = it.mark
	l.close(i, o)
}

// settleAt settles item i if it is still at the place given; then it is nobody's but the engine's.
func (l *ledger) settleAt(i int, at place, o Outcome) bool {
	if !l.items[i].at.CompareAndSwap(uint32(at), uint32(settled)) {
		return false
	}
	o.Mark = l.items[i].mark
	l.close(i, o)
	return true
}

// abandon settles item i, wherever it is, while a stage may still hold it. The mark is left out: it is the owner's.
func (l *ledger) abandon(i int, o Outcome) {
	it := &l.items[i]
	for {
		at := it.at.Load()
		if place(at) == settled || place(at) == abandoned {
			return
		}
		if it.at.CompareAndSwap(at, uint32(abandoned)) {
			l.close(i, o)
			return
		}
	}
}

func (l *ledger) close(i int, o Outcome) {
	l.items[i].release()
	l.settler.Settle(i, o)
	if l.open.Add(-1) == 0 && l.book != nil {
		l.book.remove(l)
	}
}

func mustLive(group []ref) {
	for _, r := range group {
		if r.ledger != nil {
			return
		}
	}
	panic("graph: item settled or moved on before")
}

func settleLive(refs []ref, o Outcome) {
	for j, r := range refs {
		if r.ledger != nil {
			refs[j] = ref{}
			r.ledger.settle(r.index, o)
		}
	}
}
