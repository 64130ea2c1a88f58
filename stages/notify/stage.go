// Package notify is the stage that makes acknowledgements of what is durable and findable.
//
// Adjacent ops of one attachment become one reply, which answers for all of them: how far the session has come, at
// which version, and what of it was rejected. Each wire message gets a reply of its own, so a client that sends one
// observation at a time is acked one at a time. Nothing is refused here: it has been committed. fold.go is the core.
package notify

import (
	"context"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the kind `notify`.
func Register(r *graph.Registry) {
	graph.Register(r, "notify", graph.Doc{
		Summary: "Turns what is durable and findable into acknowledgements, one for each wire message.",
		Traits:  graph.Traits{Fused: true},
	}, struct{}{}, func(struct{}, graph.Deps) (graph.Stage[session.Applied, session.Reply], error) { return stage{}, nil })
}

type stage struct{}

// Process implements graph.Stage.
func (stage) Process(ctx context.Context, in *graph.Batch[session.Applied], out graph.Port[session.Reply]) error {
	replies, ends := fold(in.Items)
	return out.Send(ctx, graph.Fold(in, replies, ends))
}
