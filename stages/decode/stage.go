package decode

import (
	"context"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// Spaces knows the spaces by name. Safe for concurrent use.
type Spaces interface {
	Space(name string) (memory.Space, bool)
}

// Embedding knows what embeds on this server; nil: nothing does. Safe for concurrent use.
type Embedding interface {
	Embedder() memory.Embedder
}

// Register adds the kind `decode`.
func Register(r *graph.Registry) {
	graph.Register(r, "decode", graph.Doc{
		Summary: "Checks what came off the wire and turns it into ops; what can never be stored becomes a stored rejection.",
		Traits:  graph.Traits{Fused: true},
	}, struct{}{}, func(_ struct{}, d graph.Deps) (graph.Stage[session.Incoming, session.Op], error) {
		return &stage{spaces: graph.Use[Spaces](d), embedding: graph.Use[Embedding](d)}, nil
	})
}

// stage has no state of its own: safe for concurrent use.
type stage struct {
	spaces    *graph.Handle[Spaces]
	embedding *graph.Handle[Embedding]
}

// Process implements graph.Stage.
func (s *stage) Process(ctx context.Context, in *graph.Batch[session.Incoming], out graph.Port[session.Op]) error {
	ops := make([]session.Op, in.Len())
	var from *session.Attachment
	to := target{server: s.server()}
	to.room.grow(in.Items)
	for i := range in.Items {
		item := &in.Items[i]
		if item.From != from {
			from, to.Space = item.From, s.space(item.From.Space)
		}
		ops[i] = decode(item, &to)
		if ops[i].Kind == memory.OpRejected {
			in.Mark(i, uint8(session.Rejected))
		}
	}
	return out.Send(ctx, graph.Map(in, ops))
}

func (s *stage) server() string {
	if e := s.embedding.Get().Embedder(); e != nil {
		return e.Identity()
	}
	return ""
}

// space returns what ops are held to. A dimension or an embedder that is not durable refuses nothing for good: the space
// may yet get another. The journal compares again when it appends.
func (s *stage) space(name string) memory.Space {
	space, ok := s.spaces.Get().Space(name)
	switch {
	case !ok:
		return memory.Space{Name: name, Metric: memory.Cosine}
	case !space.Settled:
		space.Dimension, space.Embedder = 0, ""
	}
	return space
}
