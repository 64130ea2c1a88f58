// Package shard is the stage that has spaces kept apart.
//
// From here on a batch is of one space, which is the key by which the graph's workers run it: one at a time, in the
// order that its ops came. A space's worker is found by hash, until another that has nothing to do takes the space over.
// split.go is the core.
package shard

import (
	"context"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the kind `shard`.
func Register(r *graph.Registry) {
	graph.Register(r, "shard", graph.Doc{
		Summary: "Keeps spaces apart: from here on workers run one at a time of each, in order.",
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
	if ofOneSpace(in.Items) {
		return out.SendTo(ctx, s.route(in.Items[0].From.Space), in)
	}
	var failed error
	for _, p := range split(in.Items) {
		if err := out.SendTo(ctx, s.route(p.space), graph.Take(in, p.indexes)); err != nil {
			failed = err // the send has rejected that space's ops; the others go on
		}
	}
	return failed
}

func (s stage) route(space string) graph.Route {
	return graph.Route{Lane: laneOf(space, s.lanes), Key: space}
}
