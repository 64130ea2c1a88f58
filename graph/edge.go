package graph

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// entry is the way into a node: its edge, or the node itself when it is fused.
type entry[T any] interface {
	// enter takes b over from a sender, as Port.Send and, with wait false, Port.TrySend say.
	enter(ctx context.Context, from *host, r Route, b *Batch[T], wait bool) error
}

// edge is the bounded queue into a node: a FIFO a key under one window. Many senders, each of which keeps its order.
// Its length is bounded by the window, as each batch takes at least one item of credit.
type edge[T any] struct {
	host   *host
	credit *credit
	queue  *schedule[T]
	share  Window        // of the window, for a key when others may need the rest (see full)
	ups    []edgeControl // those whose keys come here as they are
	totals edgeTotals
}

// edgeTotals counts what passed since the start.
type edgeTotals struct {
	batches, items, bytes, refused atomic.Uint64
}

type queued[T any] struct {
	batch  *Batch[T]
	route  Route
	weight Window
	since  time.Duration // engine time; 0 without hooks
}

func newEdge[T any](h *host, window Window) *edge[T] {
	return &edge[T]{
		host: h, credit: newCredit(h.name, window),
		queue: newSchedule[T](h.lanes, h.keyed(), h.workers == 1),
		share: Window{Items: max(1, window.Items/(2*h.lanes)), Bytes: max(1, window.Bytes/int64(2*h.lanes))},
	}
}

// leadTo tells an edge where the keys go that wait in it.
func (e *edge[T]) leadTo(down edgeControl) {
	e.queue.full = down.full
	down.cameFrom(e)
}

func (e *edge[T]) cameFrom(up edgeControl) { e.ups = append(e.ups, up) }

// full says whether more of a key should wait until some of it has been taken. A key that comes faster than one worker
// takes it would fill the window, and the senders of all other keys would wait for its credit while other workers have
// nothing to do. So the last quarter of the window is for keys that have not used up their share. A yes is followed by
// an unpark of the edges before this one when a batch has been taken.
func (e *edge[T]) full(key Route) bool {
	used, limit := e.credit.depth(), e.credit.limit
	if used.Items < limit.Items-limit.Items/4 && used.Bytes < limit.Bytes-limit.Bytes/4 {
		return false
	}
	return e.queue.over(key, e.share)
}

func (e *edge[T]) unpark() { e.queue.unpark() }

func (e *edge[T]) enter(ctx context.Context, from *host, r Route, b *Batch[T], wait bool) error {
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
		from.stats.blocked.Begin(e.host.engine.now())
		err = e.credit.take(ctx, w)
		from.stats.blocked.End(e.host.engine.now())
	}
	if err == nil {
		err = e.push(r, b, w)
	}
	if err != nil {
		e.totals.refused.Add(1)
		b.RejectLive(err)
	}
	return err
}

func (e *edge[T]) push(r Route, b *Batch[T], w Window) error {
	q := queued[T]{batch: b.detach(), route: r, weight: w}
	if hooks := e.host.engine.hooks; hooks != nil {
		q.since = e.host.engine.now()
		hooks.Enqueue(e.host.name, r.Lane, w)
	}
	if !e.queue.push(q) {
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
	tookNone        // there is nothing to take now
	tookFull        // nothing but keys of which the queue behind is full
	tookEnd         // there is nothing to take any more
)

// take hands the next batch to a worker of the node and gives its credit back; done is the line of its last one. What
// it returns as line is to be given back with the worker's next take.
func (e *edge[T]) take(w *seat, done *keyline[T]) (queued[T], *keyline[T], taken) {
	q, line, crowded, t := e.queue.next(w, done)
	if t != tookBatch {
		return q, nil, t
	}
	e.credit.give(q.weight)
	if crowded {
		for _, up := range e.ups {
			up.unpark()
		}
	}
	if hooks := e.host.engine.hooks; hooks != nil {
		hooks.Dequeue(e.host.name, q.route.Lane, q.weight, e.host.engine.now()-q.since)
	}
	return q, line, tookBatch
}

// close says that no more will come; what is queued is still taken.
func (e *edge[T]) close() { e.queue.close() }

// kill ends the edge: what is queued and what still comes is rejected with the reason.
func (e *edge[T]) kill(reason error) {
	e.credit.kill(reason)
	for _, q := range e.queue.seize() {
		e.credit.give(q.weight)
		q.batch.RejectLive(reason)
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
	s.Keys, s.Deepest = e.queue.deepest()
	for _, up := range e.host.up {
		s.From = append(s.From, up.name)
		s.Blocked += up.stats.blocked.Read(e.host.engine.now)
	}
	return s
}

func (e *edge[T]) deepestKeys(n int) []string { return e.queue.deepestKeys(n) }

func (e *edge[T]) queuedOf(key string) Window { return e.queue.queuedOf(key) }

func (e *edge[T]) desks() []DeskStats { return e.queue.readDesks() }
