package graph

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// entry is the way into a node: its edge, or the node itself when it is fused.
type entry[T any] interface {
	// enter takes b over from a sender, as Port.Send and, with wait false, Port.TrySend say.
	enter(ctx context.Context, from *host, lane int, b *Batch[T], wait bool) error
}

// edge is the bounded queue into a node, one FIFO a lane under one window. Many senders, each of which keeps its order.
type edge[T any] struct {
	host   *host
	credit *credit
	lanes  []fifo[T]
	totals edgeTotals
}

// edgeTotals counts what passed since the start.
type edgeTotals struct {
	batches, items, bytes, refused atomic.Uint64
}

// fifo is one lane of an edge. Its length is bounded by the edge's window, as each batch takes at least one item of credit.
type fifo[T any] struct {
	wake chan struct{} // holds a token when there may be something to see; a worker that takes one re-arms it

	mu     sync.Mutex
	queue  []queued[T] // guarded by mu
	head   int         // guarded by mu; the first not taken
	closed bool        // guarded by mu
}

type queued[T any] struct {
	batch  *Batch[T]
	weight Window
	since  time.Duration // engine time; 0 without hooks
}

func newEdge[T any](h *host, window Window) *edge[T] {
	e := &edge[T]{host: h, credit: newCredit(h.name, window), lanes: make([]fifo[T], h.lanes)}
	for i := range e.lanes {
		e.lanes[i].wake = make(chan struct{}, 1)
	}
	return e
}

func (e *edge[T]) enter(ctx context.Context, from *host, lane int, b *Batch[T], wait bool) error {
	w := b.move(from.id, e.host.id)
	if w.Items == 0 {
		return nil
	}
	err := e.credit.tryTake(w)
	if errors.Is(err, ErrNoCredit) {
		if !wait {
			b.move(e.host.id, from.id)
			e.totals.refused.Add(1)
			return err
		}
		stop := from.stats.blocked.start(e.host.engine.now)
		err = e.credit.take(ctx, w)
		stop()
	}
	if err == nil {
		err = e.push(lane, b, w)
	}
	if err != nil {
		e.totals.refused.Add(1)
		b.RejectLive(err)
	}
	return err
}

func (e *edge[T]) push(i int, b *Batch[T], w Window) error {
	q := queued[T]{batch: b.detach(), weight: w}
	if hooks := e.host.engine.hooks; hooks != nil {
		q.since = e.host.engine.now()
		hooks.Enqueue(e.host.name, i, w)
	}
	if !e.lanes[i].push(q) {
		e.credit.give(w)
		*b = *q.batch
		return e.host.engine.stopReason()
	}
	e.totals.batches.Add(1)
	e.totals.items.Add(uint64(w.Items))
	e.totals.bytes.Add(uint64(w.Bytes))
	return nil
}

type taken uint8

const (
	tookBatch taken = iota
	tookNone        // the lane is empty now
	tookEnd         // the lane is empty for good
)

// take hands the oldest batch of a lane to the node and gives its credit back.
func (e *edge[T]) take(i int) (*Batch[T], Window, taken) {
	q, t := e.lanes[i].take()
	if t != tookBatch {
		return nil, Window{}, t
	}
	e.credit.give(q.weight)
	if hooks := e.host.engine.hooks; hooks != nil {
		hooks.Dequeue(e.host.name, i, q.weight, e.host.engine.now()-q.since)
	}
	return q.batch, q.weight, tookBatch
}

// close says that no more will come; what is queued is still taken.
func (e *edge[T]) close() {
	for i := range e.lanes {
		e.lanes[i].close()
	}
}

// kill ends the edge: what is queued and what still comes is rejected with the reason.
func (e *edge[T]) kill(reason error) {
	e.credit.kill(reason)
	for i := range e.lanes {
		for _, q := range e.lanes[i].seize() {
			e.credit.give(q.weight)
			q.batch.RejectLive(reason)
		}
	}
}

func (e *edge[T]) stats() EdgeStats {
	s := EdgeStats{
		To:      e.host.name,
		Depth:   e.credit.depth(),
		Window:  e.credit.limit,
		Batches: e.totals.batches.Load(),
		Items:   e.totals.items.Load(),
		Bytes:   e.totals.bytes.Load(),
		Refused: e.totals.refused.Load(),
	}
	for _, up := range e.host.up {
		s.From = append(s.From, up.name)
		s.Blocked += up.stats.blocked.read(e.host.engine.now)
	}
	return s
}

func (l *fifo[T]) push(q queued[T]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if len(l.queue) == cap(l.queue) && l.head > len(l.queue)/2 {
		n := copy(l.queue, l.queue[l.head:])
		clear(l.queue[n:])
		l.queue, l.head = l.queue[:n], 0
	}
	l.queue = append(l.queue, q)
	l.signal()
	return true
}

func (l *fifo[T]) take() (queued[T], taken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.queue) {
		if !l.closed {
			return queued[T]{}, tookNone
		}
		l.signal()
		return queued[T]{}, tookEnd
	}
	q := l.queue[l.head]
	l.queue[l.head] = queued[T]{}
	l.head++
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	} else {
		l.signal()
	}
	return q, tookBatch
}

func (l *fifo[T]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.signal()
}

// seize closes the lane and takes everything that is in it.
func (l *fifo[T]) seize() []queued[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.queue[l.head:]
	l.queue, l.head, l.closed = nil, 0, true
	l.signal()
	return all
}

func (l *fifo[T]) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
