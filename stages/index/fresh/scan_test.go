package fresh

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/simd"
)

// modelEntry is a committed vector as the model remembers it.
type modelEntry struct {
	vector       []float32
	birth, death uint64
}

// naive scans the model: the whole definition of a right answer.
func naive(m Metric, entries []modelEntry, query []float32, version uint64, k int, keep func(Slot) bool) []Candidate {
	var out []Candidate
	for i, e := range entries {
		if e.birth > version || (e.death != 0 && e.death <= version) || (keep != nil && !keep(Slot(i))) {
			continue
		}
		out = append(out, Candidate{Slot: Slot(i), Score: naiveScore(m, query, e.vector), Birth: e.birth, Ordinal: e.birth * 3})
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Birth, b.Birth))
	})
	return out[:min(k, len(out))]
}

// naiveScore is exact for the two metrics whose sums of small whole numbers are; the cosine's needs a tolerance.
func naiveScore(m Metric, a, b []float32) float32 {
	switch m {
	case Cosine:
		return float32(simd.Dot64(a, b) / math.Sqrt(simd.SquaredNorm(a)*simd.SquaredNorm(b)))
	case Dot:
		return float32(simd.Dot64(a, b))
	default:
		return float32(0 - math.Sqrt(simd.SquaredL264(a, b)))
	}
}

// whole draws a vector of small whole numbers, never all zero.
func whole(t *rapid.T, dimension int, label string) []float32 {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(rapid.IntRange(-4, 4).Draw(t, label))
	}
	v[0] += 9
	return v
}

// TestScanEqualsTheModel drives random histories of prepare, discard, commit and kill, and compares scans at random
// snapshots with the model.
func TestScanEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		metric := rapid.SampledFrom([]Metric{Dot, L2}).Draw(t, "metric")
		dimension := rapid.IntRange(1, 9).Draw(t, "dimension")
		tier := New(dimension, metric)
		var entries []modelEntry
		version := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "entries") {
					version++
					v := whole(t, dimension, "component")
					slot := tier.Prepare(Entry{Vector: v, Birth: version, Ordinal: version * 3})
					require.Equal(t, Slot(len(entries)), slot)
					entries = append(entries, modelEntry{vector: v, birth: version})
				}
				tier.Commit()
			},
			"discard": func(t *rapid.T) {
				for i := range rapid.IntRange(1, 40).Draw(t, "entries") {
					tier.Prepare(Entry{Vector: whole(t, dimension, "component"), Birth: version + 1 + uint64(i)})
				}
				tier.Discard()
			},
			"kill": func(t *rapid.T) {
				if len(entries) == 0 {
					return
				}
				i := rapid.IntRange(0, len(entries)-1).Draw(t, "slot")
				if entries[i].death == 0 {
					version++
					tier.Kill(Slot(i), version)
					entries[i].death = version
				}
			},
			"scan": func(t *rapid.T) {
				q := Query{
					Vector:  whole(t, dimension, "query"),
					Version: rapid.Uint64Range(0, version).Draw(t, "snapshot"),
					K:       rapid.IntRange(1, 50).Draw(t, "k"),
				}
				if rapid.Bool().Draw(t, "filtered") {
					q.Keep = func(s Slot) bool { return s%3 != 0 }
				}
				got, _, err := tier.Scan(context.Background(), q)
				require.NoError(t, err)
				want := naive(metric, entries, q.Vector, q.Version, q.K, q.Keep)
				require.Len(t, got, len(want))
				for i := range want {
					require.Equal(t, want[i], got[i], "rank %d", i)
				}
			},
			"": func(t *rapid.T) { require.Equal(t, len(entries), tier.Len()) },
		})
	})
}

func filled(t testing.TB, metric Metric, dimension, n int) (*Tier, []modelEntry) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, uint64(dimension)))
	tier := New(dimension, metric)
	entries := make([]modelEntry, n)
	for i := range entries {
		v := make([]float32, dimension)
		for j := range v {
			v[j] = float32(r.NormFloat64())
		}
		birth := uint64(i) + 1
		entries[i] = modelEntry{vector: v, birth: birth}
		tier.Prepare(Entry{Vector: v, Birth: birth, Ordinal: birth * 3})
	}
	tier.Commit()
	return tier, entries
}

func TestCosineScoresAreThoseOfFloat64(t *testing.T) {
	tier, entries := filled(t, Cosine, 768, 500)
	query := entries[123].vector
	got, compared, err := tier.Scan(context.Background(), Query{Vector: query, Version: 500, K: 500})
	require.NoError(t, err)
	require.Equal(t, 500, compared)
	require.Len(t, got, 500)
	require.Equal(t, Slot(123), got[0].Slot)
	for _, c := range got {
		require.InDelta(t, naiveScore(Cosine, query, entries[c.Slot].vector), c.Score, 2e-6)
		require.LessOrEqual(t, c.Score, float32(1))
	}
	require.True(t, slices.IsSortedFunc(got, compare))
	for i := range entries { // rounding must not lift a vector's cosine with itself above 1
		self, _, err := tier.Scan(context.Background(), Query{Vector: entries[i].vector, Version: 500, K: 1})
		require.NoError(t, err)
		require.LessOrEqual(t, self[0].Score, float32(1))
	}
}

// Large tiers are scanned by several goroutines; the answer must be that of one. A hundred vectors repeat, so most
// ranks are ties.
func TestTheAnswerDoesNotDependOnTheSplit(t *testing.T) {
	const dimension, n = 1024, 2*splitFloats/1024 + 100
	_, entries := filled(t, L2, dimension, 100)
	tier := New(dimension, L2)
	for i := range n {
		tier.Prepare(Entry{Vector: entries[i%len(entries)].vector, Birth: uint64(i) + 1})
	}
	tier.Commit()
	for _, version := range []uint64{n, n / 2, 10} {
		q := Query{Vector: entries[0].vector, Version: version, K: 200}
		alone, comparedAlone, err := tier.Scan(context.Background(), q)
		require.NoError(t, err)
		q.Share = NewShare(8)
		split, compared, err := tier.Scan(context.Background(), q)
		require.NoError(t, err)
		require.Equal(t, alone, split)
		require.Equal(t, comparedAlone, compared)
		require.Equal(t, version, uint64(compared))
		require.Equal(t, int64(8), q.Share.free.Load(), "the share is whole again")
	}
	require.Equal(t, 2, tier.newScan(context.Background(), Query{Vector: entries[0].vector}).worthwhile())
}

func TestTheShareIsNeverOverdrawn(t *testing.T) {
	s := NewShare(3)
	require.Equal(t, 2, s.take(2))
	require.Equal(t, 1, s.take(2))
	require.Equal(t, 0, s.take(1))
	s.give(3)
	require.Equal(t, 3, s.take(100))
	require.Equal(t, 0, (*Share)(nil).take(5))
}

func TestScanStopsWithItsContext(t *testing.T) {
	tier, entries := filled(t, Dot, 4, 5*stride)
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	_, _, err := tier.Scan(ctx, Query{Vector: entries[0].vector, Version: 5 * stride, K: 1, Keep: func(Slot) bool {
		seen++
		cancel()
		return true
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, stride, seen, "not more than the stride it was in")
}

// Components near the limits of float32 must not turn into infinities or NaN: those would break the order.
func TestScoresAreFinite(t *testing.T) {
	extreme := [][]float32{
		{math.MaxFloat32, math.MaxFloat32, -math.MaxFloat32},
		{-math.MaxFloat32, math.MaxFloat32, math.MaxFloat32},
		{math.SmallestNonzeroFloat32, 0, 0},
		{1, 2, 3},
		{0, 0, 0},
	}
	for _, metric := range []Metric{Cosine, Dot, L2} {
		tier := New(3, metric)
		for i, v := range extreme {
			tier.Prepare(Entry{Vector: v, Birth: uint64(i + 1)})
		}
		tier.Commit()
		for _, query := range extreme {
			got, _, err := tier.Scan(context.Background(), Query{Vector: query, Version: 5, K: 5})
			require.NoError(t, err)
			require.Len(t, got, 5)
			for _, c := range got {
				require.True(t, finite(c.Score), "metric %d, %v against %v: %v", metric, query, extreme[c.Slot], c.Score)
			}
		}
	}
	require.Equal(t, uint32(0), math.Float32bits(l2Score(extreme[3], extreme[3])), "no negative zero")
}

func TestMisuseIsCaught(t *testing.T) {
	tier := New(3, Dot)
	require.Panics(t, func() { New(0, Dot) })
	require.Panics(t, func() { tier.Prepare(Entry{Vector: make([]float32, 4)}) })
	require.Panics(t, func() { _, _, _ = tier.Scan(context.Background(), Query{Vector: make([]float32, 2), K: 1}) })
	require.Panics(t, func() { _, _, _ = tier.Scan(context.Background(), Query{Vector: make([]float32, 3)}) })
	got, compared, err := tier.Scan(context.Background(), Query{Vector: make([]float32, 3), K: 1})
	require.NoError(t, err)
	require.Empty(t, got)
	require.Zero(t, compared)
}
