package graphtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/engram-stream/engram/graph"
)

// Port records what a stage sends. What it takes stays live until DeliverAll, unless OnSend says otherwise. Safe for
// concurrent use, beyond what a stage may ask for.
type Port[T any] struct {
	// OnSend, if set before use, is asked first: its error fails the send as an edge's would, graph.ErrNoCredit
	// only a TrySend. It sees the batch without settled items.
	OnSend func(lane int, b *graph.Batch[T]) error

	lanes int

	mu   sync.Mutex
	sent []Sent[T] // guarded by mu
}

// Sent is one batch that was sent.
type Sent[T any] struct {
	Lane  int
	Route graph.Route // what SendTo was given; else the lane alone
	Batch *graph.Batch[T]
}

// NewPort returns a port with a number of lanes, 1 or more.
func NewPort[T any](lanes int) *Port[T] { return &Port[T]{lanes: lanes} }

// Send implements graph.Port.
func (p *Port[T]) Send(ctx context.Context, b *graph.Batch[T]) error {
	if p.lanes > 1 {
		panic("graphtest: sent without a lane to a port that has several")
	}
	return p.send(ctx, graph.Route{}, b, true)
}

// TrySend implements graph.Port.
func (p *Port[T]) TrySend(ctx context.Context, b *graph.Batch[T]) error {
	if p.lanes > 1 {
		panic("graphtest: sent without a lane to a port that has several")
	}
	return p.send(ctx, graph.Route{}, b, false)
}

// SendTo implements graph.Port.
func (p *Port[T]) SendTo(ctx context.Context, r graph.Route, b *graph.Batch[T]) error {
	if r.Lane < 0 || r.Lane >= p.lanes {
		panic(fmt.Sprintf("graphtest: lane %d of %d", r.Lane, p.lanes))
	}
	return p.send(ctx, r, b, true)
}

// Lanes implements graph.Port.
func (p *Port[T]) Lanes() int { return p.lanes }

// Lane implements graph.Port.
func (p *Port[T]) Lane(i int) graph.Port[T] {
	if i < 0 || i >= p.lanes {
		panic(fmt.Sprintf("graphtest: lane %d of %d", i, p.lanes))
	}
	return lanePort[T]{p, i}
}

func (p *Port[T]) send(ctx context.Context, r graph.Route, b *graph.Batch[T], wait bool) error {
	b.Compact()
	if b.Len() == 0 {
		return nil
	}
	if err := p.refusal(ctx, r.Lane, b, wait); err != nil {
		if !errors.Is(err, graph.ErrNoCredit) {
			b.RejectLive(err)
		}
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, Sent[T]{Lane: r.Lane, Route: r, Batch: graph.Map(b, b.Items)}) // Map leaves b empty, as an edge does
	return nil
}

func (p *Port[T]) refusal(ctx context.Context, lane int, b *graph.Batch[T], wait bool) error {
	if wait && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.OnSend == nil {
		return nil
	}
	err := p.OnSend(lane, b)
	if wait && errors.Is(err, graph.ErrNoCredit) {
		return nil
	}
	return err
}

// Sent returns what was sent, in order.
func (p *Port[T]) Sent() []Sent[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Sent[T](nil), p.sent...)
}

// Items returns all items sent, in order, whatever their lane.
func (p *Port[T]) Items() []T {
	var out []T
	for _, s := range p.Sent() {
		out = append(out, s.Batch.Items...)
	}
	return out
}

// DeliverAll settles what was sent as delivered, as a sink would, and forgets it.
func (p *Port[T]) DeliverAll() {
	p.mu.Lock()
	sent := p.sent
	p.sent = nil
	p.mu.Unlock()
	for _, s := range sent {
		s.Batch.DeliverLive()
	}
}

// lanePort is one lane of a Port.
type lanePort[T any] struct {
	port *Port[T]
	lane int
}

// Send implements graph.Port.
func (l lanePort[T]) Send(ctx context.Context, b *graph.Batch[T]) error {
	return l.port.send(ctx, graph.Route{Lane: l.lane}, b, true)
}

// TrySend implements graph.Port.
func (l lanePort[T]) TrySend(ctx context.Context, b *graph.Batch[T]) error {
	return l.port.send(ctx, graph.Route{Lane: l.lane}, b, false)
}

// SendTo implements graph.Port.
func (l lanePort[T]) SendTo(ctx context.Context, r graph.Route, b *graph.Batch[T]) error {
	return l.port.SendTo(ctx, r, b)
}

// Lanes implements graph.Port.
func (l lanePort[T]) Lanes() int { return 1 }

// Lane implements graph.Port.
func (l lanePort[T]) Lane(i int) graph.Port[T] {
	if i != 0 {
		panic(fmt.Sprintf("graphtest: lane %d of 1", i))
	}
	return l
}
