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
	Success uint64 // calls by status: see CallStatus
	Failure uint64
	Refused uint64
	Active  int64 // calls running now

	Busy      time.Duration
	Starved   time.Duration
	Blocked   time.Duration
	BlockedOn string // the node behind the edge that its output goes to; empty when there is none
}

// EdgeStats is one edge's, named by the node it leads to.
type EdgeStats struct {
	From    []string
	To      string
	Depth   Window // queued now
	Window  Window
	Batches uint64 // enqueued
	Items   uint64
	Bytes   uint64
	Refused uint64        // batches not taken: no credit for a sender that would not wait, too large, or stopping
	Blocked time.Duration // what its senders have waited for credit
}

// stageStats is a node's record, written by the goroutines that run it.
type stageStats struct {
	batches, items, flushes   atomic.Uint64
	success, failure, refused atomic.Uint64
	active, busy              atomic.Int64 // busy in nanoseconds

	starved, blocked meter
}

func (s *stageStats) count(status CallStatus) {
	switch status {
	case Success:
		s.success.Add(1)
	case Failure:
		s.failure.Add(1)
	case Refused:
		s.refused.Add(1)
	}
}

// meter sums the time that goroutines spend waiting, waits still going on included.
type meter struct {
	mu   sync.Mutex
	open int           // guarded by mu; waits going on
	sum  time.Duration // guarded by mu; ends of waits minus their starts, so that sum + open*now is the total
}

// start begins a wait and returns its end.
func (m *meter) start(now func() time.Duration) (stop func()) {
	m.change(+1, -now())
	return func() { m.change(-1, now()) }
}

func (m *meter) change(open int, at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open += open
	m.sum += at
}

func (m *meter) read(now func() time.Duration) time.Duration {
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
		Success: h.stats.success.Load(),
		Failure: h.stats.failure.Load(),
		Refused: h.stats.refused.Load(),
		Active:  h.stats.active.Load(),
		Busy:    time.Duration(h.stats.busy.Load()),
		Starved: h.stats.starved.read(h.engine.now),
		Blocked: h.stats.blocked.read(h.engine.now),
	}
	if h.down != nil && h.down.edge != nil {
		s.BlockedOn = h.down.name
	}
	return s
}
