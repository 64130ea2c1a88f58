package index

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// lull is how long the merger waits for readers that are still about.
const lull = 20 * time.Millisecond

// mostFailures is how many merges of a space fail before it goes on without a graph.
const mostFailures = 2

// merger moves what is new into the graphs, in the background, a batch of a space at a time and the spaces in turn.
type merger struct {
	// immutable
	limits    mergeLimits
	freshMost int // vectors of a space that its graph may be behind
	logger    *slog.Logger
	snapshots *snapshots
	idleTurn  time.Duration // how often spaces that nobody uses are looked for; 0: they stay loaded
	counts    *counts

	wake     chan struct{} // of one: there is something to do
	progress bell          // rings when a merge may have made room
	ended    chan struct{} // closed when run has returned
	cancel   context.CancelFunc

	// before is a test's hook, set before use: it runs before each step. nil: none.
	before func()

	mu    sync.Mutex
	queue []*space // guarded by mu: those with something to do, each once
}

func newMerger(limits mergeLimits, freshMost int, kept *snapshots, logger *slog.Logger) *merger {
	return &merger{
		limits: limits, freshMost: freshMost, snapshots: kept, logger: logger, counts: newCounts(time.Now()),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), cancel: func() {},
	}
}

// start begins to merge, and to unload what is idle of some spaces, until stop; where there are no graphs, and nothing is unloaded,
// there is nothing to do.
func (m *merger) start(spaces *sync.Map) {
	if m.limits.graphFrom == 0 && m.idleTurn == 0 {
		close(m.ended)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.ended)
		m.run(ctx, spaces)
	}()
}

// stop ends merging, once it has been started, and waits until it has. What a batch was about to do is not done.
func (m *merger) stop() {
	m.cancel()
	<-m.ended
}

// offer tells of a space that has published something. Anyone may call it.
func (m *merger) offer(sp *space) {
	if !m.worthwhile(sp) || !m.enqueue(sp) {
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// worthwhile reports whether a step may have something to do for a space.
func (m *merger) worthwhile(sp *space) bool {
	if sp.dropped.Load() {
		return sp.kept.Load()
	}
	g := sp.view.Load().merged
	return g != nil && g.worthwhile(m.limits)
}

// enqueue reports whether the space was not in the queue before.
func (m *merger) enqueue(sp *space) bool {
	if sp.due.Swap(true) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, sp)
	return true
}

func (m *merger) run(ctx context.Context, spaces *sync.Map) {
	var idle <-chan time.Time
	if m.idleTurn > 0 {
		ticker := time.NewTicker(m.idleTurn)
		defer ticker.Stop()
		idle = ticker.C
	}
	for ctx.Err() == nil {
		select {
		case <-idle:
			m.unloadIdle(ctx, spaces)
		default:
		}
		if more, later := m.round(ctx); !more {
			m.pause(ctx, later, idle, spaces)
		}
	}
}

// pause waits for something to merge; later: there will be, after a lull.
func (m *merger) pause(ctx context.Context, later bool, idle <-chan time.Time, spaces *sync.Map) {
	var again <-chan time.Time
	if later {
		timer := time.NewTimer(lull)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-m.wake:
	case <-again:
	case <-idle:
		m.unloadIdle(ctx, spaces)
	case <-ctx.Done():
	}
}

// round has one step done for each space that has something to do.
func (m *merger) round(ctx context.Context) (more, later bool) {
	m.mu.Lock()
	queue := m.queue
	m.queue = nil
	m.mu.Unlock()
	for _, sp := range queue {
		spaceMore, spaceLater := m.step(ctx, sp)
		more, later = more || spaceMore, later || spaceLater
		sp.due.Store(false)
		if spaceMore || spaceLater {
			m.enqueue(sp)
		} else {
			m.offer(sp) // what came meanwhile found it due
		}
	}
	return more, later
}

// step merges one batch of a space.
func (m *merger) step(ctx context.Context, sp *space) (more, later bool) {
	defer m.progress.ring()
	if sp.dropped.Load() {
		m.forget(sp)
		return false, false
	}
	v := sp.view.Load()
	if v.merged == nil || v.merged.over() {
		return false, false
	}
	stop := m.counts.merging.start()
	err := guarded(func() (err error) {
		if m.before != nil {
			m.before()
		}
		more, later, err = v.merged.step(ctx, v.version, m.limits)
		return err
	})
	stop()
	failed := err != nil && ctx.Err() == nil
	m.counts.add(v.merged.done(), failed)
	switch {
	case failed:
		m.fail(sp, v.merged, err)
		return false, false
	case err == nil && more:
		m.keep(ctx, sp, v.merged, 1)
	case err == nil:
		m.keep(ctx, sp, v.merged, idleShare)
	}
	return more, later
}

// fail has the owner of a space rebuild it: with a graph, and when that has failed before, without one. What fails twice would fail
// for ever, and each time all of the space would be read from the journal.
func (m *merger) fail(sp *space, g *merged, cause error) {
	if failures := sp.failures.Add(1); failures < mostFailures {
		m.logger.Error("index: the merge of a space has failed, it will be rebuilt", "space", sp.name, "cause", cause)
	} else {
		m.logger.Error("index: merges of a space have failed too often, it is rebuilt without a graph and all of it scanned until a restart",
			"space", sp.name, "failures", failures, "cause", cause,
			"hint", "recalls stay right, and get slower as the space grows: report the cause, and restart to try again; graph_from: 0 does without graphs")
	}
	m.forget(sp)         // it may have the fault in it
	g.failed.Store(true) // after the count, by which the owner rebuilds
}

// room returns once the space's graph is not too far behind for n more vectors, or nothing of it is going to be merged. The space's
// owner calls it.
func (m *merger) room(ctx context.Context, sp *space, n int) error {
	for waits := false; ; {
		moved := m.progress.next()
		g := sp.w.merged
		if g == nil || sp.dropped.Load() || g.pending()+n <= m.freshMost || !g.worthwhile(m.limits) {
			return nil
		}
		if !waits {
			waits = true
			m.counts.waits.Add(1)
			defer m.counts.waiting.start()()
		}
		m.offer(sp)
		select {
		case <-moved:
		case <-m.ended: // nothing will
			return nil
		case <-ctx.Done():
			return contextFault(ctx)
		}
	}
}
