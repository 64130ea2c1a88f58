package graph

import (
	"context"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// sourceNode is a source's place in the graph and its inlet.
type sourceNode[T any] struct {
	endpoint any

	host *host
	next entry[T]
}

func (n *sourceNode[T]) subject() any                { return n.endpoint }
func (n *sourceNode[T]) holds() bool                 { return false }
func (n *sourceNode[T]) place(h *host, _ Window)     { n.host = h }
func (n *sourceNode[T]) join(down node)              { n.next = entryOf[T](down) }
func (n *sourceNode[T]) work(context.Context, *seat) {}

// Offer implements Inlet.
func (n *sourceNode[T]) Offer(ctx context.Context, o Offer[T]) error {
	if len(o.Items) == 0 {
		return nil
	}
	if err := n.admit(&o); err != nil {
		for i := range o.Items {
			o.Settler.Settle(i, Outcome{Err: err})
		}
		return err
	}
	book := &n.host.engine.book
	defer book.leave()
	life := &offerContext{Context: ctx, running: n.host.engine.running}
	defer life.end()
	run := n.host.beginOffer(life, len(o.Items))
	l := newLedger(o.Settler, o.Bytes)
	l.ctx, l.since, l.book = run.ctx, time.Now(), book
	book.add(l)
	n.host.stats.batches.Add(1)
	n.host.stats.items.Add(uint64(len(o.Items)))
	err := n.next.enter(run.ctx, n.host, Route{}, newBatch(o.Items, l), true)
	n.host.endOffer(run, err)
	return err
}

func (h *host) beginOffer(ctx context.Context, items int) running {
	run := running{ctx: ctx, call: Call{Node: h.name, Offer: true, Items: items}}
	if hooks := h.engine.hooks; hooks != nil {
		run.call.Traces = []context.Context{ctx}
		run.ctx, run.began = hooks.Begin(ctx, run.call), h.engine.now()
	}
	return run
}

// endOffer counts an offer. None of its time is the source's own.
func (h *host) endOffer(run running, err error) {
	status := blame(err, err)
	h.stats.ended[status].count(run.call)
	if hooks := h.engine.hooks; hooks != nil {
		hooks.End(run.ctx, run.call, CallResult{Status: status, Err: err, Elapsed: h.engine.now() - run.began})
	}
}

// admit checks an offer and enters it into the book; without an error, leave must follow.
func (n *sourceNode[T]) admit(o *Offer[T]) error {
	if len(o.Bytes) != len(o.Items) {
		return fault.New(fault.Internal, "source %q offers %d items with %d weights", n.host.name, len(o.Items), len(o.Bytes))
	}
	for _, w := range o.Bytes {
		if w < 0 {
			return fault.New(fault.Internal, "source %q offers an item of %d bytes", n.host.name, w)
		}
	}
	return n.host.engine.book.enter()
}
