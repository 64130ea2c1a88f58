// Package coalesce is the stage that makes larger batches of what has piled up.
//
// An item that comes alone goes on alone, at once: nothing waits while the input is empty and the budget is below a
// fill. What is queued is gathered, up to a size, as each batch costs the journal one sync. Above the fill it waits
// for more even when the input is empty: until enough for a batch has come, or for a short time. Order never changes.
//
// What it holds is bounded in items and bytes, and declared to the liveness check. hold.go is the core, without clock
// or engine; this file is the shell.
package coalesce

import (
	"context"
	"sync"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// The most bytes held back: enough for a thousand vectors of 2,000 components, and never more than a part of the
// budget, so that a small one does not wait for itself.
const (
	maxHoldBytes    = 8 << 20
	budgetHoldParts = 8
)

// Register adds the kind `coalesce`.
func Register(r *graph.Registry) {
	graph.Register(r, "coalesce", graph.Doc{
		Summary: "Gathers larger batches when work has piled up; passes single items on at once when it has not.",
	}, Config{Above: 0.5, Items: [2]int{100, 1000}, MaxWait: 5 * time.Millisecond},
		func(c Config, d graph.Deps) (graph.Stage[session.Op, session.Op], error) {
			return newStage(c, d.Budget), nil
		})
}

type stage struct {
	config   Config
	budget   *graph.Budget
	maxBytes int64

	mu    sync.Mutex
	lanes map[int]*hold // guarded by mu; a hold itself belongs to its lane's goroutine
}

func newStage(c Config, budget *graph.Budget) *stage {
	return &stage{
		config: c, budget: budget, lanes: map[int]*hold{},
		maxBytes: max(1, min(maxHoldBytes, budget.Limit().Bytes/budgetHoldParts)),
	}
}

// Bounds implements graph.Bounder. Its batches weigh at most what it holds and a batch that comes.
func (s *stage) Bounds() graph.Bounds {
	return graph.Bounds{HoldItems: s.config.Items[1], HoldBytes: s.maxBytes, BatchItems: s.config.Items[1]}
}

// Process implements graph.Stage.
func (s *stage) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	var failed error
	for _, full := range s.lane(ctx).add(time.Now(), in) {
		if err := out.Send(ctx, full); err != nil {
			failed = err // Send has rejected that batch; the others may still pass
		}
	}
	return failed
}

// Flush implements graph.Flusher.
func (s *stage) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[session.Op]) (time.Duration, error) {
	h := s.lane(ctx)
	if h.items == 0 {
		return 0, nil
	}
	if why != graph.FlushDrain && s.budget.Fill() >= s.config.Above && h.items < s.config.Items[0] {
		if wait := s.config.MaxWait - time.Since(h.since); wait > 0 {
			return wait, nil
		}
	}
	return 0, out.Send(ctx, h.release())
}

func (s *stage) lane(ctx context.Context) *hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := graph.LaneOf(ctx)
	if s.lanes[i] == nil {
		s.lanes[i] = &hold{maxItems: s.config.Items[1], maxBytes: s.maxBytes}
	}
	return s.lanes[i]
}
