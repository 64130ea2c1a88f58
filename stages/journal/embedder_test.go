package journal

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// embedded is an observation whose vector an embedder has made.
func embedded(from *session.Attachment, sequence uint64, dimension int, embedder string) session.Op {
	op := observation(from, sequence, dimension)
	op.Embedder = embedder
	return op
}

// The first vector decides what a space's vectors come from, and a restart knows it.
func TestASpaceKeepsTheEmbedderOfItsFirstVector(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, testOptions(fs))
	texts, _ := attached(t, s, "texts")
	vectors, _ := attached(t, s, "vectors")
	opens, _ := attached(t, s, "opens")
	stored(t, s, embedded(texts, 1, 4, "words"), observation(texts, 2, 4))
	stored(t, s, observation(vectors, 1, 4))
	stored(t, s, rejection(opens, 1, "no text"))
	sp, _ := s.Space("opens")
	require.Empty(t, sp.Embedder)
	stored(t, s, embedded(opens, 2, 4, "words"))
	for range 2 {
		for name, want := range map[string]string{"texts": "words", "vectors": "", "opens": "words"} {
			sp, ok := s.Space(name)
			require.True(t, ok)
			require.Equal(t, want, sp.Embedder, name)
			require.Equal(t, 4, sp.Dimension)
			require.True(t, sp.Settled)
		}
		require.Len(t, replayed(t, s), 5, "a client's vector is taken beside an embedder's")
		require.NoError(t, s.Close())
		s = mustOpen(t, testOptions(fs))
	}
	require.NoError(t, s.Close())
}

// What was embedded before its space had a vector may find there a space of another embedder, or of none.
func TestAVectorOfAnotherEmbedderIsRejected(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	cases := map[string]struct {
		first, second session.Op
		code          fault.Kind
		field, reason string
	}{
		"none":    {observation(nil0, 1, 4), embedded(nil0, 2, 4, "words"), fault.InvalidArgument, "embedding", `space "none" has no embedder`},
		"another": {embedded(nil0, 1, 4, "words"), embedded(nil0, 2, 4, "meanings"), fault.FailedPrecondition, "content", `from embedder "words", this server has "meanings"`},
		"changed": {embedded(nil0, 1, 4, "words"), embedded(nil0, 2, 5, "words"), fault.FailedPrecondition, "content", `has dimension 4, embedder "words" now gives 5`},
	}
	for name, c := range cases {
		from, _ := attached(t, s, name)
		c.first.From, c.second.From = from, from
		v := stored(t, s, c.first, c.second, observation(from, 3, 4))
		require.Equal(t, []int{1}, v.turned, name)
		for _, r := range replayed(t, s) {
			if r.Space == name && r.Version == 2 {
				require.Equal(t, memory.OpRejected, r.Op.Kind)
				require.Equal(t, c.code.Code(), r.Op.Rejection.Code)
				require.Equal(t, c.field, r.Op.Rejection.Field)
				require.Contains(t, r.Op.Rejection.Reason, c.reason)
			}
		}
	}
}

// nil0 is who observations of a table come from before there is a session.
var nil0 = &session.Attachment{}

func TestCreateSpaceWithAnEmbedder(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	want := memory.Space{Name: "notes", Dimension: 4, Embedder: "words"}
	made, err := s.CreateSpace(t.Context(), want)
	require.NoError(t, err)
	require.Equal(t, "words", made.Embedder)
	require.Equal(t, "words", s.ListSpaces("", 9)[0].Embedder)
	_, err = s.CreateSpace(t.Context(), want)
	require.NoError(t, err, "again")
	want.Embedder = ""
	_, err = s.CreateSpace(t.Context(), want)
	require.Equal(t, fault.AlreadyExists, fault.KindOf(err))
	require.ErrorContains(t, err, `and embedder "words", asked for 4, cosine and no embedder`)
	_, err = s.CreateSpace(t.Context(), memory.Space{Name: "long", Dimension: 4, Embedder: strings.Repeat("x", memory.MaxEmbedder+1)})
	require.Equal(t, fault.InvalidArgument, fault.KindOf(err))
}
