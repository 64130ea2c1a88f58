package decode

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// spaces knows a few spaces and counts how often it is asked.
type spaces struct {
	known map[string]memory.Space
	asked int
}

func (s *spaces) Space(name string) (memory.Space, bool) {
	s.asked++
	space, ok := s.known[name]
	return space, ok
}

func TestVerify(t *testing.T) {
	known := spaceList{"faces": faces}
	graphtest.VerifyStage(t, graph.Traits{Fused: true}, func(graph.Deps) graphtest.Subject[session.Incoming, session.Op] {
		sequence := uint64(0)
		return graphtest.Subject[session.Incoming, session.Op]{
			Stage: &stage{embedding: noEmbedder, spaces: graph.NewHandle[Spaces](known)},
			Batch: func(t *rapid.T) []session.Incoming {
				items := make([]session.Incoming, rapid.IntRange(1, 5).Draw(t, "items"))
				for i := range items {
					sequence++
					items[i] = session.Incoming{From: from, Sequence: sequence, Observe: &session.RawObservation{
						Embedding: rapid.SliceOfN(rapid.Float32(), 0, 4).Draw(t, "vector"),
					}}
				}
				return items
			},
		}
	})
}

// spaceList is a Spaces that is safe for concurrent use.
type spaceList map[string]memory.Space

func (s spaceList) Space(name string) (memory.Space, bool) { space, ok := s[name]; return space, ok }

// A dimension that is not durable may never be: it refuses nothing for good.
func TestADimensionThatIsNotDurableRefusesNothing(t *testing.T) {
	for settled, kind := range map[bool]memory.OpKind{true: memory.OpRejected, false: memory.OpObserve} {
		space := faces
		space.Settled = settled
		s := &stage{embedding: noEmbedder, spaces: graph.NewHandle[Spaces](spaceList{"faces": space})}
		in, _ := graphtest.NewBatch(session.Incoming{From: from, Sequence: 1, Observe: &session.RawObservation{Embedding: []float32{1}}})
		port := graphtest.NewPort[session.Op](1)
		require.NoError(t, s.Process(t.Context(), in, port))
		require.Equal(t, kind, port.Items()[0].Kind)
	}
}

func TestPoisonIsMarkedAndPassesOn(t *testing.T) {
	s := &stage{embedding: noEmbedder, spaces: graph.NewHandle[Spaces](&spaces{known: map[string]memory.Space{"faces": faces}})}
	in, outcomes := graphtest.NewBatch(
		session.Incoming{From: from, Sequence: 1, Observe: &session.RawObservation{Embedding: []float32{1, 2, 3}}},
		session.Incoming{From: from, Sequence: 2, Observe: &session.RawObservation{Embedding: []float32{1}}},
		session.Incoming{From: from, Sequence: 3, Forget: &memory.Forget{IDs: []string{"x"}}, EndOfFrame: true},
	)
	port := graphtest.NewPort[session.Op](1)
	require.NoError(t, s.Process(t.Context(), in, port))
	var kinds []memory.OpKind
	for _, op := range port.Items() {
		kinds = append(kinds, op.Kind)
	}
	assert.Equal(t, []memory.OpKind{memory.OpObserve, memory.OpRejected, memory.OpForget}, kinds)
	port.DeliverAll()
	for i, want := range []session.Verdict{session.Accepted, session.Rejected, session.Accepted} {
		outcome, settled := outcomes.Of(i)
		require.True(t, settled)
		verdict, _ := session.VerdictOf(outcome.Mark, outcome.Err)
		assert.Equal(t, want, verdict, "item %d", i)
	}
}

func TestASpaceIsLookedUpOnceAFrame(t *testing.T) {
	known := &spaces{}
	s := &stage{embedding: noEmbedder, spaces: graph.NewHandle[Spaces](known)}
	raw := &session.RawObservation{Embedding: []float32{1}}
	other := &session.Attachment{Space: "other"}
	in, _ := graphtest.NewBatch(
		session.Incoming{From: from, Observe: raw}, session.Incoming{From: from, Observe: raw}, session.Incoming{From: other, Observe: raw},
	)
	require.NoError(t, s.Process(t.Context(), in, graphtest.NewPort[session.Op](1)))
	assert.Equal(t, 2, known.asked)
}

func TestRegister(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	kind := r.Lookup(graph.RoleStage, "decode")
	require.NotNil(t, kind)
	assert.True(t, kind.Doc.Traits.Fused)
	assert.NotEmpty(t, kind.Doc.Summary)
}
