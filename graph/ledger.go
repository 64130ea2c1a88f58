package graph

import (
	"context"
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
	ctx     context.Context // values only: the trace the items came under
	since   time.Time
	settler Settler
	items   []ledgerItem
	open    atomic.Int64    // items not settled yet
	onEmpty func(l *ledger) // the engine's book-keeping; called once
}

// ledgerItem is written by the item's one owner; settled by a compare-and-swap, so that a second verdict is caught.
type ledgerItem struct {
	settled atomic.Bool
	mark    uint8
	bytes   int32
	charged *Budget
}

func (l *ledger) settle(i int, o Outcome) {
	it := &l.items[i]
	if !it.settled.CompareAndSwap(false, true) {
		panic("graph: item settled twice")
	}
	l.release(i)
	o.Mark = it.mark
	l.settler.Settle(i, o)
	if l.open.Add(-1) == 0 && l.onEmpty != nil {
		l.onEmpty(l)
	}
}

func (l *ledger) release(i int) {
	it := &l.items[i]
	if it.charged != nil {
		it.charged.give(1, int64(it.bytes))
		it.charged = nil
	}
}

func settleGroup(group []ref, o Outcome) {
	for j, r := range group {
		if r.ledger == nil {
			panic("graph: item rejected that was settled or moved on")
		}
		group[j] = ref{}
		r.ledger.settle(r.index, o)
	}
}

func settleLive(refs []ref, o Outcome) {
	for j, r := range refs {
		if r.ledger != nil {
			refs[j] = ref{}
			r.ledger.settle(r.index, o)
		}
	}
}
