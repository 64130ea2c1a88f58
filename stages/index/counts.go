package index

import (
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
)

// counts is what an index has done since the start. Safe for concurrent use.
type counts struct {
	merged, merges, failedMerges, removed atomic.Uint64
	waits, rebuilt                        atomic.Uint64
	merging, waiting                      stopwatch
}

func newCounts(now time.Time) *counts {
	return &counts{merging: stopwatch{zero: now}, waiting: stopwatch{zero: now}}
}

// work is what a merge has done.
type work struct{ batches, inserted, removed uint64 }

// add counts the work of one step. If it failed, what it did until then is done.
func (c *counts) add(w work, failed bool) {
	c.merges.Add(w.batches)
	c.merged.Add(w.inserted)
	c.removed.Add(w.removed)
	if failed {
		c.failedMerges.Add(1)
	}
}

func (c *counts) read() memory.IndexStats {
	return memory.IndexStats{
		Merged: c.merged.Load(), Merges: c.merges.Load(), FailedMerges: c.failedMerges.Load(), Removed: c.removed.Load(),
		Merging: c.merging.read(), Waits: c.waits.Load(), Waited: c.waiting.read(), Rebuilt: c.rebuilt.Load(),
	}
}

// stopwatch sums the time that goroutines spend at something. A writer that waits for minutes is seen while it waits.
type stopwatch struct {
	zero  time.Time // immutable
	meter graph.Meter
}

// start begins a stretch of time and returns its end.
func (s *stopwatch) start() (stop func()) {
	s.meter.Begin(s.now())
	return func() { s.meter.End(s.now()) }
}

func (s *stopwatch) now() time.Duration { return time.Since(s.zero) }

func (s *stopwatch) read() time.Duration { return s.meter.Read(s.now) }
