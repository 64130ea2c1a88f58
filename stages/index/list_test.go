package index

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// Whatever was observed, replaced and forgotten: the pages together are the memories that are alive, each once, by rising
// version.
func TestPagesListWhatIsAlive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		alive := map[string]memory.Version{}
		for i := range rapid.IntRange(0, 40).Draw(rt, "ops") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "id")
			if rapid.IntRange(0, 3).Draw(rt, "forget") == 0 {
				process(t, s, j.append(at("x"), durable(), forget(id))...)
				delete(alive, id)
				continue
			}
			process(t, s, j.append(at("x"), durable(), observe(id, 1, float32(i)))...)
			alive[id] = memory.Version(i + 1)
		}
		if s.service.Published("x") == 0 {
			_, _, _, err := s.service.List(t.Context(), "x", 0, 10, false, nil)
			require.Equal(rt, fault.NotFound, fault.KindOf(err))
			return
		}
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		got := map[string]memory.Version{}
		var after memory.Version
		for more := true; more; {
			var page []memory.Hit
			var err error
			page, after, more, err = s.service.List(t.Context(), "x", after, limit, false, nil)
			require.NoError(rt, err)
			require.LessOrEqual(rt, len(page), limit)
			before := memory.Version(0)
			for _, h := range page {
				require.Greater(rt, h.Version, before)
				require.NotContains(rt, got, h.ID)
				got[h.ID], before = h.Version, h.Version
			}
		}
		require.Equal(rt, alive, got)
	})
}

func TestAPageIsBoundedInBytes(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		op := observe(id, 1, 2)
		op.Observe.Content = strings.Repeat("x", memory.MaxContent)
		process(t, s, j.append(at("x"), durable(), op)...)
	}
	page, last, more, err := s.service.List(t.Context(), "x", 0, 100, true, nil)
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.True(t, more)
	require.Equal(t, []float32{1, 2}, page[0].Embedding)
	page, last, more, err = s.service.List(t.Context(), "x", last, 100, false, nil)
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.True(t, more)
	page, _, more, err = s.service.List(t.Context(), "x", last, 100, false, nil)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.False(t, more)
}
