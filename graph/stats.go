package graph

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is a reading of a graph: totals since the start, and what is in it now. Nodes and edges are in topological
// order.
type Stats struct {
	Nodes  []NodeStats
	Edges  []EdgeStats
	Offers int    // offers with items not settled yet
	Budget Window // budget in use
	Limit  Window // the budget
}

// NodeStats is one node's. Busy, Starved and Blocked are summed over its goroutines and do not overlap: its own
// code, waiting for input, waiting for credit of the edge into BlockedOn. A fused node is never starved.
type NodeStats struct {
	Name    string
	Kind    string
	Role    Role
	Fused   bool
	Lanes   int
	Workers int // goroutines a lane; 0 when fused

	Batches uint64 // handed to its code; of a source: offered
	Items   uint64
	Flushes uint64
	Active  int64               // calls running now
	Ended   [Statuses]CallStats // by CallStatus

	Busy      time.Duration
	Starved   time.Duration
	Blocked   time.Duration
	BlockedOn string // the node behind the edge that its output goes to; empty when there is none

	Desks []DeskStats // by lane; nil for a fused node
}

// DeskStats are the workers of one lane: one, unless Workers says otherwise.
type DeskStats struct {
	Busy      time.Duration // with a batch in hand, waits for credit included; summed over the workers
	Depth     Window        // what waits for them, of the keys that they have taken over too
	TakenOver uint64        // keys that they took over from other lanes
}

// CallStats are the calls of a node that ended with one status, or a source's offers.
type CallStats struct {
	Calls uint64
	Items uint64 // offered or handed in with them; what a flush sends was counted when it was handed in
	Busy  time.Duration
	// Took counts the calls by their own time, as Busy sums it: Took[i] those of at most TookBounds[i] and more than the
	// bound before, the last one those of more than all. Zero for a source, which has no time of its own.
	Took [len(TookBounds) + 1]uint64
}

// TookBounds are the upper bounds of CallStats.Took: from a fused stage's glance to an fsync that hangs.
var TookBounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 10 * time.Second,
}

// EdgeStats is one edge's, named by the node it leads to.
type EdgeStats struct {
	From    []string
	To      string
	Depth   Window // queued now
	Keys    int    // of which something is queued or run
	Deepest Window // what is queued of the key with the most items
	Window  Window
	Batches uint64 // enqueued
	Items   uint64
	Bytes   uint64
	Refused uint64        // batches not taken: no credit for a sender that would not wait, too large, or stopping
	Blocked time.Duration // what its senders have waited for credit
}

// stageStats is a node's record, written by the goroutines that run it.
type stageStats struct {
	batches, items, flushes atomic.Uint64
	active                  atomic.Int64
	ended                   [Statuses]callStats

	starved, blocked Meter
}

// callStats is CallStats while it is written.
type callStats struct {
	calls, items atomic.Uint64
	busy         atomic.Int64 // nanoseconds
	took         [len(TookBounds) + 1]atomic.Uint64
}

// items returns how many items of a call have not been counted before.
func (c Call) items() uint64 {
	if c.Flush != 0 {
		return 0
	}
	return uint64(c.Items)
}

// count counts an offer.
func (s *callStats) count(c Call) {
	s.calls.Add(1)
	s.items.Add(c.items())
}

// countTook counts a call with its own time.
func (s *callStats) countTook(c Call, busy time.Duration) {
	s.count(c)
	s.busy.Add(int64(busy))
	i := 0
	for i < len(TookBounds) && busy > TookBounds[i] {
		i++
	}
	s.took[i].Add(1)
}

func (s *callStats) read() CallStats {
	r := CallStats{Calls: s.calls.Load(), Items: s.items.Load(), Busy: time.Duration(s.busy.Load())}
	for i := range s.took {
		r.Took[i] = s.took[i].Load()
	}
	return r
}

// Meter sums the time that goroutines spend at something, such as waiting; what still goes on is included. Moments are on a clock
// of the caller's. The zero value is ready, and safe for concurrent use.
type Meter struct {
	mu   sync.Mutex
	open int           // guarded by mu; stretches of time that go on
	sum  time.Duration // guarded by mu; ends minus starts, so that sum + open*now is the total
}

// Begin begins a stretch of time; End must follow.
func (m *Meter) Begin(at time.Duration) { m.change(+1, -at) }

// End ends one.
func (m *Meter) End(at time.Duration) { m.change(-1, at) }

func (m *Meter) change(open int, at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open += open
	m.sum += at
}

// Read returns the sum until now, which is asked for when nothing can begin or end any more.
func (m *Meter) Read(now func() time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum + time.Duration(m.open)*now()
}

// blame decides whose fault a call's error is; sent is the last error that a send of the call returned.
func blame(err, sent error) CallStatus {
	if err == nil {
		return Success
	}
	if r, ok := errors.AsType[Refuser](err); ok && r.Refused() {
		return Refused
	}
	if sent != nil && errors.Is(err, sent) {
		return Refused
	}
	return Failure
}

// Stats reads the statistics. Safe for concurrent use; the numbers of one reading are taken one after the other.
func (e *Engine) Stats() Stats {
	s := Stats{Offers: e.book.count(), Budget: e.budget.Used(), Limit: e.budget.Limit()}
	for _, h := range e.hosts {
		s.Nodes = append(s.Nodes, h.readStats())
		if h.edge != nil {
			s.Edges = append(s.Edges, h.edge.stats())
		}
	}
	return s
}

func (h *host) readStats() NodeStats {
	s := NodeStats{
		Name:    h.name,
		Kind:    h.kind,
		Role:    h.role,
		Fused:   h.edge == nil && h.role != RoleSource,
		Lanes:   h.lanes,
		Workers: h.workers,
		Batches: h.stats.batches.Load(),
		Items:   h.stats.items.Load(),
		Flushes: h.stats.flushes.Load(),
		Active:  h.stats.active.Load(),
		Starved: h.stats.starved.Read(h.engine.now),
		Blocked: h.stats.blocked.Read(h.engine.now),
	}
	for status := range s.Ended {
		s.Ended[status] = h.stats.ended[status].read()
		s.Busy += s.Ended[status].Busy
	}
	if h.down != nil && h.down.edge != nil {
		s.BlockedOn = h.down.name
	}
	if h.edge != nil {
		s.Desks = h.edge.desks()
		for _, seat := range h.seats {
			s.Desks[seat.desk].Busy += seat.hand.read(h.engine.now())
		}
	}
	return s
}
