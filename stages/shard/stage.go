// Package shard is the stage that gives every space a lane.
//
// All ops of a space go to the same lane, in the order they came, so what follows runs one goroutine a lane and still
// applies a space's ops in order. Lanes are bounded in number; spaces share them by hash. split.go is the core.
package shard

import (
	"context"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the kind `shard`.
func Register(r *graph.Registry) {
	graph.Register(r, "shard", graph.Doc{
		Summary: "Gives every space a lane: one goroutine a lane from here on, in order within a space.",
		Traits:  graph.Traits{Fused: true, Partitions: true},
	}, Config{By: BySpace, Workers: 4}, func(c Config, _ graph.Deps) (graph.Stage[session.Op, session.Op], error) {
		return stage{lanes: c.Workers}, nil
	})
}

type stage struct{ lanes int }

// Lanes implements graph.Partitioner.
func (s stage) Lanes() int { return s.lanes }

// Process implements graph.Stage.
func (s stage) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	parts := split(in.Items, s.lanes)
	if len(parts) == 1 {
		return out.Lane(parts[0].lane).Send(ctx, in)
	}
	var failed error
	for _, p := range parts {
		if err := out.Lane(p.lane).Send(ctx, graph.Take(in, p.indexes)); err != nil {
			failed = err // Send has rejected that lane's ops; the others go on
		}
	}
	return failed
}
