package vectors

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

func TestSyntheticIsClusteredAndTheSameEachTime(t *testing.T) {
	a, err := Synthetic(48, 3000, 1)
	require.NoError(t, err)
	b, err := Synthetic(48, 3000, 1)
	require.NoError(t, err)
	other, err := Synthetic(48, 1, 2)
	require.NoError(t, err)
	assert.Equal(t, 3000, a.Len())
	for i := range a.Len() {
		require.Equal(t, a.Row(i), b.Row(i))
		require.InDelta(t, 1, length(a.Row(i)), 1e-5)
	}
	assert.NotEqual(t, a.Row(0), other.Row(0))
	s := NewScorer(memory.Cosine, a)
	near := 0.0
	for i := range 100 {
		best := float32(-1)
		for j := range a.Len() {
			if i != j {
				best = max(best, s.Score(a.Row(i), j))
			}
		}
		near += float64(best) / 100
	}
	assert.Greater(t, near, 0.6, "the nearest of a row lies in its cluster")
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rows, err := Synthetic(7, 20, 0)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, rows.WriteFvecs(&b))
	path := filepath.Join(t.TempDir(), "x.fvecs")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	for limit, want := range map[int]int{0: 20, 5: 5, 50: 20} {
		again, err := Load(t.Context(), path, limit)
		require.NoError(t, err)
		require.Equal(t, want, again.Len())
		for i := range want {
			require.Equal(t, rows.Row(i), again.Row(i))
		}
	}
	turned, err := rows.Ordered([]int{3, 1})
	require.NoError(t, err)
	assert.Equal(t, 2, turned.Len())
	assert.Equal(t, rows.Row(3), turned.Row(0))
	assert.Equal(t, rows.Row(5), rows.Part(4, 8).Row(1))
}

func TestLoadRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"empty.fvecs": "", "text.jsonl": `{"id":"a","content":"b"}`,
		"two.jsonl": "{\"embedding\":[1]}\n{\"embedding\":[1,2]}",
	} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Load(t.Context(), path, 0)
		assert.ErrorContains(t, err, "load vectors: "+path)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(folder, "two.jsonl")
	_, err := Load(ctx, path, 1)
	assert.ErrorIs(t, err, context.Canceled)
}

// TestExactAgainstSorting: by each metric the truth is what sorting all scores gives, of all rows and of some.
func TestExactAgainstSorting(t *testing.T) {
	rows, err := Synthetic(16, 500, 3)
	require.NoError(t, err)
	queries := rows.Part(400, 500)
	for _, metric := range []memory.Metric{memory.Cosine, memory.Dot, memory.L2} {
		s := NewScorer(metric, rows)
		for _, among := range [][]uint32{nil, {1, 5, 9, 400, 402, 77, 78, 79, 80, 81, 82, 83}, {7}, {}} {
			truth, err := s.Exact(t.Context(), queries, among, 10)
			require.NoError(t, err)
			neighbours := make([][]uint32, queries.Len())
			for q := range queries.Len() {
				all := among
				if among == nil {
					for i := range rows.Len() {
						all = append(all, uint32(i))
					}
				}
				all = slices.Clone(all)
				slices.SortFunc(all, func(a, b uint32) int {
					return compareScores(s.Score(queries.Row(q), int(b)), s.Score(queries.Row(q), int(a)))
				})
				require.Equal(t, min(10, len(all)), truth.K)
				for place, row := range all {
					right := truth.Right(q, s.Score(queries.Row(q), int(row)))
					require.Equal(t, place < truth.K, right)
				}
				neighbours[q] = all
			}
			if truth.K == 10 {
				known, err := s.Known(queries, neighbours, 10)
				require.NoError(t, err)
				assert.Equal(t, truth, known)
			}
		}
	}
}

// TestExactOfWhatIsKept: each query has its own rows, and needs enough of them.
func TestExactOfWhatIsKept(t *testing.T) {
	rows, err := Synthetic(16, 400, 3)
	require.NoError(t, err)
	queries := rows.Part(0, 40)
	s := NewScorer(memory.L2, rows)
	truth, err := s.ExactOf(t.Context(), queries, func(q int, row uint32) bool { return int(row)%4 == q%4 }, 10)
	require.NoError(t, err)
	for q := range queries.Len() {
		var own []uint32
		for row := q % 4; row < rows.Len(); row += 4 {
			own = append(own, uint32(row))
		}
		alone, err := s.Exact(t.Context(), queries.Part(q, q+1), own, 10)
		require.NoError(t, err)
		assert.Equal(t, alone.least[0], truth.least[q])
	}
	_, err = s.ExactOf(t.Context(), queries, func(q int, row uint32) bool { return q != 7 || row < 9 }, 10)
	assert.ErrorContains(t, err, "leaves fewer than 10 vectors to query 7")
}

func compareScores(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestAKnownTruthThatDoesNotFit(t *testing.T) {
	rows, err := Synthetic(4, 3, 0)
	require.NoError(t, err)
	s := NewScorer(memory.L2, rows)
	for want, neighbours := range map[string][][]uint32{
		"has 2 answers, and there are 3 queries": {{0}, {0}},
		"has 1 neighbours of query 1":            {{0, 1}, {0}, {0, 1}},
		"names row 3 of 3 for query 2":           {{0, 1}, {0, 1}, {0, 3}},
	} {
		_, err := s.Known(rows, neighbours, 2)
		assert.ErrorContains(t, err, want)
	}
	assert.True(t, math.Signbit(float64(s.Score(rows.Row(0), 1))), "higher is nearer")
}
