package decode

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// embedding is a server's embedder, of which decode only wants the name.
type embedding string

var noEmbedder = graph.NewHandle[Embedding](embedding(""))

func (e embedding) Embedder() memory.Embedder {
	if e == "" {
		return nil
	}
	return e
}

func (e embedding) Kind() string                       { return string(e) }
func (e embedding) Identity() string                   { return string(e) }
func (e embedding) Dimension() int                     { return 3 }
func (e embedding) Probe(context.Context) (int, error) { return 3, nil }
func (e embedding) Embed(context.Context, []string) ([][]float32, error) {
	panic("decode never embeds")
}

func TestATextPassesWhereItCanBeEmbedded(t *testing.T) {
	text, vector := session.RawObservation{Content: "likes tea"}, session.RawObservation{Embedding: []float32{1, 2, 3}}
	invalid, mismatch := fault.InvalidArgument.Code(), fault.FailedPrecondition.Code()
	of := func(embedder string) memory.Space {
		return memory.Space{Name: "notes", Dimension: 3, Metric: memory.Cosine, Embedder: embedder, Settled: true}
	}
	cases := map[string]struct {
		space  memory.Space
		server string
		raw    session.RawObservation
		want   *memory.Rejection
	}{
		"the space's embedder": {of("words"), "words", text, nil},
		"a new space":          {anything, "words", text, nil},
		"a vector beside":      {of("words"), "words", vector, nil},
		"a vector elsewhere":   {of("words"), "", vector, nil},
		"nothing": {of("words"), "words", session.RawObservation{}, &memory.Rejection{
			Code: invalid, Field: "embedding", Reason: "there is no vector; give embedding or embedding_f32, or content to be embedded",
		}},
		"a space of vectors": {of(""), "words", text, &memory.Rejection{
			Code: invalid, Field: "embedding", Reason: `there is no vector, and space "notes" has no embedder: its vectors come from clients; ` +
				"give embedding or embedding_f32, or use another space for texts",
		}},
		"a new space on a server without": {anything, "", text, &memory.Rejection{
			Code: invalid, Field: "embedding", Reason: "there is no vector, and this server embeds no texts; give embedding or embedding_f32",
		}},
		"a space of texts on a server without": {of("words"), "", text, &memory.Rejection{
			Code: mismatch, Field: "content", Reason: `space "notes" has its vectors from embedder "words", but this server embeds no texts`,
		}},
		"another embedder": {of("words"), "meanings", text, &memory.Rejection{
			Code: mismatch, Field: "content", Reason: `space "notes" has its vectors from embedder "words", this server has "meanings"`,
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			op := decode(incoming(c.raw), &target{Space: c.space, server: c.server})
			assert.Equal(t, c.want, op.Rejection)
			if c.want == nil {
				require.Equal(t, memory.OpObserve, op.Kind)
				assert.Len(t, op.Observe.Vector, len(c.raw.Embedding))
				assert.Equal(t, c.raw.Content, op.Observe.Content)
			}
		})
	}
}

// An embedder that is not durable may never be: it refuses nothing for good.
func TestAnEmbedderThatIsNotDurableRefusesNothing(t *testing.T) {
	for settled, kind := range map[bool]memory.OpKind{true: memory.OpRejected, false: memory.OpObserve} {
		space := memory.Space{Name: "faces", Dimension: 3, Metric: memory.Cosine, Embedder: "words", Settled: settled}
		s := &stage{embedding: graph.NewHandle[Embedding](embedding("meanings")), spaces: graph.NewHandle[Spaces](spaceList{"faces": space})}
		in, _ := graphtest.NewBatch(session.Incoming{From: from, Sequence: 1, Observe: &session.RawObservation{Content: "tea"}})
		port := graphtest.NewPort[session.Op](1)
		require.NoError(t, s.Process(t.Context(), in, port))
		require.Equal(t, kind, port.Items()[0].Kind)
	}
}
