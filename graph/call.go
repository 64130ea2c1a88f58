package graph

import (
	"context"
	"fmt"
	"time"

	"github.com/sourcegraph/conc/panics"
)

// frame is what the engine keeps about a run of a stage's code, whatever the item types. One goroutine at a time.
type frame struct {
	host  *host
	route Route // of the batch in hand; of a flush its lane
	// custody lists the offered items that the stage was handed and may still have. What is still at this node
	// when the code has returned was lost by it, unless it may hold items back.
	custody []row
	swept   int           // the length of custody after the last sweep
	away    time.Duration // spent in sends since the call began
	sent    error         // the last error that a send returned since the call began
	catcher panics.Catcher
}

// row is a run of adjacent items of one offer. Refs come in such runs, and a pointer a row instead of one an item
// spares the collector's write barriers, which cost more than all else here.
type row struct {
	ledger   *ledger
	first, n int
}

// minSweep is the length under which custody is not swept: below, a sweep costs more than it frees.
const minSweep = 64

// keep records that the stage has been handed refs and returns the part of custody that they make. A holder's list
// is swept whenever it has doubled, which keeps its length within twice of what is held at a constant cost an item.
func (f *frame) keep(refs []ref) []row {
	if len(f.custody) > minSweep && len(f.custody) > 2*f.swept {
		f.sweep()
	}
	before := len(f.custody)
	var last row
	for _, r := range refs {
		if r.ledger == last.ledger && r.index == last.first+last.n {
			last.n++
			continue
		}
		if last.ledger != nil {
			f.custody = append(f.custody, last)
		}
		last = row{ledger: r.ledger, first: r.index, n: 1}
	}
	if last.ledger != nil {
		f.custody = append(f.custody, last)
	}
	return f.custody[before:]
}

// sweep forgets what has left this node and returns how many items have not.
func (f *frame) sweep() int {
	kept, held := f.custody[:0], 0
	for _, r := range f.custody {
		if n := r.at(f.host.id); n > 0 {
			kept = append(kept, r)
			held += n
		}
	}
	clear(f.custody[len(kept):])
	f.custody, f.swept = kept, len(kept)
	return held
}

// at counts the items of the row that are at a place.
func (r row) at(p place) int {
	n := 0
	for i := r.first; i < r.first+r.n; i++ {
		if r.ledger.items[i].place() == p {
			n++
		}
	}
	return n
}

// conclude settles what the stage should have let go of, with its error or as lost, and returns the call's error.
func (f *frame) conclude(err error) error {
	reason := err
	for _, r := range f.custody {
		for i := r.first; i < r.first+r.n; i++ {
			if r.ledger.items[i].place() != f.host.id {
				continue
			}
			if reason == nil {
				reason = f.host.lost()
			}
			r.ledger.settleAt(i, f.host.id, Outcome{Err: reason})
		}
	}
	clear(f.custody)
	f.custody, f.swept = f.custody[:0], 0
	return reason
}

// call is a frame with the port that the stage gets.
type call[Out any] struct {
	frame
	next  entry[Out]      // nil for a sink
	lanes []lanePort[Out] // of a kind with the trait Partitions, when there are several
	// tagged says that what follows runs on this goroutine and must be told the lane it runs for.
	tagged bool
}

type lanePort[Out any] struct {
	call *call[Out]
	lane int
}

func newCall[Out any](h *host, next entry[Out]) *call[Out] {
	c := &call[Out]{frame: frame{host: h}, next: next}
	if h.partitions {
		c.lanes = make([]lanePort[Out], h.outLanes)
		for i := range c.lanes {
			c.lanes[i] = lanePort[Out]{call: c, lane: i}
		}
		c.tagged = h.down.edge == nil
	}
	return c
}

func (c *call[Out]) deliver(ctx context.Context, r Route, b *Batch[Out], wait bool) error {
	began := c.host.engine.now()
	err := c.next.enter(ctx, c.host, r, b, wait)
	c.away += c.host.engine.now() - began
	if err != nil {
		c.sent = err
	}
	return err
}

// out is the route of what is sent without one.
func (c *call[Out]) out() Route {
	if c.lanes == nil {
		return c.route
	}
	if len(c.lanes) > 1 {
		panic(fmt.Sprintf("graph: %q sends without a lane, but its output has %d; use Lane(i)", c.host.name, len(c.lanes)))
	}
	return Route{}
}

// Send implements Port.
func (c *call[Out]) Send(ctx context.Context, b *Batch[Out]) error {
	return c.deliver(ctx, c.out(), b, true)
}

// TrySend implements Port.
func (c *call[Out]) TrySend(ctx context.Context, b *Batch[Out]) error {
	return c.deliver(ctx, c.out(), b, false)
}

// SendTo implements Port.
func (c *call[Out]) SendTo(ctx context.Context, r Route, b *Batch[Out]) error {
	if r.Lane < 0 || r.Lane >= len(c.lanes) {
		panic(fmt.Sprintf("graph: %q sends to lane %d, but its output has %d to name", c.host.name, r.Lane, len(c.lanes)))
	}
	return c.deliver(c.tag(ctx, r.Lane), r, b, true)
}

// tag tells what runs on this goroutine the lane it runs for.
func (c *call[Out]) tag(ctx context.Context, lane int) context.Context {
	if c.tagged {
		return withLane(ctx, lane)
	}
	return ctx
}

// Lanes implements Port.
func (c *call[Out]) Lanes() int { return max(1, len(c.lanes)) }

// Lane implements Port.
func (c *call[Out]) Lane(i int) Port[Out] {
	if c.lanes == nil {
		if i != 0 {
			panic(fmt.Sprintf("graph: %q asks for lane %d of one", c.host.name, i))
		}
		return c
	}
	return &c.lanes[i]
}

// Send implements Port.
func (p *lanePort[Out]) Send(ctx context.Context, b *Batch[Out]) error {
	return p.call.deliver(p.call.tag(ctx, p.lane), Route{Lane: p.lane}, b, true)
}

// TrySend implements Port.
func (p *lanePort[Out]) TrySend(ctx context.Context, b *Batch[Out]) error {
	return p.call.deliver(p.call.tag(ctx, p.lane), Route{Lane: p.lane}, b, false)
}

// SendTo implements Port.
func (p *lanePort[Out]) SendTo(ctx context.Context, r Route, b *Batch[Out]) error {
	return p.call.SendTo(ctx, r, b)
}

// Lanes implements Port.
func (p *lanePort[Out]) Lanes() int { return 1 }

// Lane implements Port.
func (p *lanePort[Out]) Lane(i int) Port[Out] {
	if i != 0 {
		panic(fmt.Sprintf("graph: %q asks for lane %d of one", p.call.host.name, i))
	}
	return p
}

type laneKey struct{}

func withLane(ctx context.Context, lane int) context.Context {
	return context.WithValue(ctx, laneKey{}, lane)
}

// LaneOf returns the lane that a stage's code is called for, from the context it was called with; 0 before any
// partitioning stage. A Flusher keeps its state by lane; of other stages several keys of a lane may run at once.
func LaneOf(ctx context.Context) int {
	lane, _ := ctx.Value(laneKey{}).(int)
	return lane
}
