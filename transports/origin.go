package transports

import (
	"context"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the sink kind `origin`, which sends each reply back the way its observation came.
func Register(r *graph.Registry) {
	graph.RegisterSink(r, "origin", graph.Doc{
		Summary: "Acknowledges to the client that sent the observation, on its own stream or call.",
		Traits:  graph.Traits{Fused: true},
	}, struct{}{}, func(struct{}, graph.Deps) (graph.Sink[session.Reply], error) { return origin{}, nil })
}

type origin struct{}

// Deliver never waits: the outbox coalesces. The items count as settled only after it, so a call that waits for its
// items finds its reply.
func (origin) Deliver(_ context.Context, in *graph.Batch[session.Reply]) error {
	for _, reply := range in.Items {
		reply.From.Reply(reply)
	}
	return nil
}
