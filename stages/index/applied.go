package index

import (
	"context"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// applied collects what of a batch has been published and not been sent on yet.
type applied struct {
	in  *graph.Batch[session.Appended]
	out graph.Port[session.Applied]

	at     []int // places in the batch, ascending
	items  []session.Applied
	failed error // the first error of the receiver
}

// add takes the items from first on, with what each matched.
func (a *applied) add(first int, matched []uint64) {
	for i, n := range matched {
		item := &a.in.Items[first+i]
		a.at = append(a.at, first+i)
		a.items = append(a.items, session.Applied{Op: item.Op, Version: item.Version, Matched: n})
	}
}

// await waits for the fate of an append: failure is its error. What is ready is sent on first if there is a wait. err says
// that ctx ended.
func (a *applied) await(ctx context.Context, d memory.Durability) (failure, err error) {
	select {
	case <-d.Done():
		return d.Err(), nil
	default:
	}
	a.send(ctx)
	select {
	case <-d.Done():
		return d.Err(), nil
	case <-ctx.Done():
		return nil, contextFault(ctx)
	}
}

// send hands on what is ready.
func (a *applied) send(ctx context.Context) {
	if len(a.items) == 0 {
		return
	}
	batch := a.in
	if len(a.at) < len(a.in.Items) {
		batch = graph.Take(a.in, a.at)
	}
	items := a.items
	a.at, a.items = nil, nil
	if err := a.out.Send(ctx, graph.Map(batch, items)); err != nil && a.failed == nil {
		a.failed = err
	}
}
