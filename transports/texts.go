package transports

import (
	"context"
	"errors"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// embedQuery makes the vector of a recall's text by the embedder that the space records, and names that. It waits for that, so no
// stream's reader calls it.
func (s *Server) embedQuery(ctx context.Context, space, text string) (vector []float32, by string, err error) {
	if err := s.requireSpace(space); err != nil {
		return nil, "", err
	}
	embedder, err := s.embedderOf(space)
	if err != nil {
		return nil, "", err
	}
	if s.hub.texts.Add(1) > maxTextRecalls {
		s.hub.texts.Add(-1)
		return nil, "", fault.New(fault.ResourceExhausted, "%d recalls have their text embedded, the most is %d", maxTextRecalls, maxTextRecalls).
			WithReason("TOO_MANY_TEXTS").WithRetryAfter(textsRetry).WithHint("make fewer recalls by text at a time, or bring vectors")
	}
	defer s.hub.texts.Add(-1)
	vectors, err := embedder.Embed(ctx, []string{text})
	if bad, ok := errors.AsType[memory.BadTexts](err); ok {
		return nil, "", badQuery("text", "%s", bad[0])
	}
	if err != nil {
		return nil, "", err
	}
	return vectors[0], embedder.Identity(), nil
}

// embedderOf returns what embeds text for a space: what that records, or, while nothing is stored there, the server's.
func (s *Server) embedderOf(name string) (memory.Embedder, error) {
	space, _ := s.Journal.Get().Space(name)
	embedder := s.Embedding.Get().Embedder()
	open := space.Dimension == 0 && space.Embedder == ""
	switch {
	case space.Embedder == "" && !open:
		return nil, noEmbedder("space %q has no embedder: its vectors come from clients", name).WithHint("send an embedding")
	case embedder == nil && open:
		return nil, noEmbedder("this server embeds no texts").WithHint("send an embedding, or set embed.kind on the server")
	case embedder == nil:
		return nil, noEmbedder("space %q has its vectors from embedder %q, but this server embeds no texts", name, space.Embedder).
			WithHint("set the server's embed section to that embedder")
	case !open && embedder.Identity() != space.Embedder:
		return nil, noEmbedder("space %q has its vectors from embedder %q, this server has %q", name, space.Embedder, embedder.Identity()).
			WithHint("set the server's embed section to the space's embedder, or observe the texts into another space")
	}
	return embedder, nil
}

func noEmbedder(format string, args ...any) *fault.Error {
	return fault.New(fault.FailedPrecondition, format, args...).WithField("query.text").WithReason("NO_EMBEDDER")
}

// settleEmbedder makes the embedder that a new space is to have the server's, with its dimension where none is asked for.
func (s *Server) settleEmbedder(ctx context.Context, want *memory.Space) error {
	if want.Embedder == "" {
		return nil
	}
	embedder := s.Embedding.Get().Embedder()
	if embedder == nil {
		return badEmbedder("space.embedder", "this server has no embedder, asked for %q", want.Embedder)
	}
	if want.Embedder != embedder.Kind() && want.Embedder != embedder.Identity() {
		return badEmbedder("space.embedder", "this server has embedder %q, asked for %q", embedder.Identity(), want.Embedder)
	}
	dimension, err := embedder.Probe(ctx)
	if err != nil {
		return err
	}
	if want.Dimension != 0 && want.Dimension != dimension {
		return badEmbedder("space.dimension", "embedder %q has dimension %d, asked for %d", embedder.Identity(), dimension, want.Dimension)
	}
	want.Embedder, want.Dimension = embedder.Identity(), dimension
	return nil
}

func badEmbedder(field, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp("create space").WithField(field).WithReason("INVALID_EMBEDDER").
		WithHint("name the server's embedder and leave the dimension out, or leave the embedder out")
}

// textBytes is what a vector weighs that is made of a text, in bytes: the most, while its dimension is not known.
func (s *Server) textBytes() int {
	embedder := s.Embedding.Get().Embedder()
	if embedder == nil {
		return 0
	}
	if n := embedder.Dimension(); n != 0 {
		return 4 * n
	}
	return 4 * memory.MaxDimension
}
