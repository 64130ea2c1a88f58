package fresh

import (
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

// exactly scores the model's visible entries at full precision, best first.
func exactly(m Metric, entries []modelEntry, query []float32, version uint64, keep func(Slot) bool) []Candidate {
	var out []Candidate
	exact := m.NewExact(query)
	for i, e := range entries {
		if e.birth > version || (e.death != 0 && e.death <= version) || (keep != nil && !keep(Slot(i))) {
			continue
		}
		out = append(out, Candidate{Slot: Slot(i), Score: exact.Score(e.vector), Birth: e.birth, Ordinal: e.birth * 3})
	}
	slices.SortFunc(out, Compare)
	return out
}

// rounding bounds the error of a score, rigorously: a rounded component is off by half of the scale, which is a 127th of the
// largest, and so of the length, at most.
func rounding(m Metric, padded int, a, b []float32) float64 {
	part := math.Sqrt(float64(padded)) / 254
	na, nb := math.Sqrt(simd.SquaredNorm(a)), math.Sqrt(simd.SquaredNorm(b))
	switch m {
	case Cosine:
		return 5 * part
	case Dot:
		return na * nb * (2*part + part*part)
	default:
		return (na + nb) * part
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
				requireNear(t, tier, exactly(metric, entries, q.Vector, q.Version, q.Keep), got, q, entries)
			},
			"": func(t *rapid.T) { require.Equal(t, len(entries), tier.Len()) },
		})
	})
}

// requireNear holds a scan's answer to the exact one: whatever is visible and nothing else, in order, and none that is
// further away than rounding can account for.
func requireNear(t require.TestingT, tier *Tier, want, got []Candidate, q Query, entries []modelEntry) {
	require.Len(t, got, min(q.K, len(want)))
	require.True(t, slices.IsSortedFunc(got, Compare))
	bySlot := map[Slot]Candidate{}
	for _, c := range want {
		bySlot[c.Slot] = c
	}
	for i, c := range got {
		truth, visible := bySlot[c.Slot]
		require.True(t, visible, "slot %d", c.Slot)
		require.Equal(t, [2]uint64{truth.Birth, truth.Ordinal}, [2]uint64{c.Birth, c.Ordinal})
		most := rounding(tier.metric, tier.scheme.Padded(), q.Vector, entries[c.Slot].vector)
		require.InDelta(t, truth.Score, c.Score, most+1e-4, "slot %d", c.Slot)
		last := want[len(got)-1]
		require.GreaterOrEqual(t, float64(truth.Score), float64(last.Score)-most-
			rounding(tier.metric, tier.scheme.Padded(), q.Vector, entries[last.Slot].vector)-1e-4, "rank %d", i)
		delete(bySlot, c.Slot)
	}
}

// latent makes n vectors of a few dimensions that matter, as embeddings are.
func latent(dimension, n int) [][]float32 {
	const matter = 16
	r := rand.New(rand.NewPCG(13, uint64(dimension)))
	basis := gaussians(r, dimension, matter+1)
	vectors := gaussians(r, dimension, n)
	for _, v := range vectors {
		for i := range v {
			v[i] = v[i]/4 + basis[matter][i]
		}
		for _, b := range basis[:matter] {
			x := float32(r.NormFloat64())
			for i := range v {
				v[i] += x * b[i]
			}
		}
	}
	return vectors
}

func gaussians(r *rand.Rand, dimension, n int) [][]float32 {
	vectors := make([][]float32, n)
	for i := range vectors {
		vectors[i] = make([]float32, dimension)
		for j := range vectors[i] {
			vectors[i][j] = float32(r.NormFloat64())
		}
	}
	return vectors
}

func filled(t testing.TB, metric Metric, dimension, n int) (*Tier, []modelEntry) {
	t.Helper()
	return of(t, metric, gaussians(rand.New(rand.NewPCG(7, uint64(dimension))), dimension, n))
}

func of(t testing.TB, metric Metric, vectors [][]float32) (*Tier, []modelEntry) {
	t.Helper()
	tier := New(len(vectors[0]), metric)
	entries := make([]modelEntry, len(vectors))
	for i, v := range vectors {
		birth := uint64(i) + 1
		entries[i] = modelEntry{vector: v, birth: birth}
		tier.Prepare(Entry{Vector: v, Birth: birth, Ordinal: birth * 3})
	}
	tier.Commit()
	return tier, entries
}

func TestExactCosinesAreThoseOfFloat64(t *testing.T) {
	_, entries := filled(t, Cosine, 768, 500)
	query := entries[123].vector
	exact := Cosine.NewExact(query)
	for _, e := range entries {
		want := simd.Dot64(query, e.vector) / math.Sqrt(simd.SquaredNorm(query)*simd.SquaredNorm(e.vector))
		require.InDelta(t, want, exact.Score(e.vector), 2e-6)
		require.LessOrEqual(t, Cosine.NewExact(e.vector).Score(e.vector), float32(1), "rounding must not lift it above")
	}
	require.Zero(t, exact.Score(make([]float32, 768)))
	tiny := make([]float32, 768)
	tiny[0] = math.SmallestNonzeroFloat32
	require.InDelta(t, float64(query[0])/math.Sqrt(simd.SquaredNorm(query)), exact.Score(tiny), 2e-6)
}

// TestALargeTierFindsTheNearest: by 1-bit codes, then by int8 codes; from before the tier had a frame, and after; without the
// dead and the dropped, at any snapshot.
func TestALargeTierFindsTheNearest(t *testing.T) {
	const dimension, n, k = 192, 3 * growingSlots, 10
	for _, metric := range []Metric{Cosine, Dot, L2} {
		tier, entries := of(t, metric, latent(dimension, n))
		for i := 0; i < n; i += 7 {
			tier.Kill(Slot(i), n+1)
			entries[i].death = n + 1
		}
		hits, asked := 0, 0
		r := rand.New(rand.NewPCG(11, 12))
		for range 40 {
			q := Query{Vector: make([]float32, dimension), Version: uint64(n + r.IntN(2)), K: k}
			if r.IntN(4) == 0 {
				q.Version = uint64(growingSlots + r.IntN(2*growingSlots))
			}
			if r.IntN(2) == 0 {
				q.Keep = func(s Slot) bool { return s%3 != 0 }
			}
			near := entries[r.IntN(n)].vector
			for i := range q.Vector {
				q.Vector[i] = near[i] + float32(r.NormFloat64())/4
			}
			got, compared, err := tier.Scan(context.Background(), q)
			require.NoError(t, err)
			require.Equal(t, min(int(q.Version), n), compared)
			want := exactly(metric, entries, q.Vector, q.Version, q.Keep)
			requireNear(t, tier, want, got, q, entries)
			for _, c := range got {
				asked++
				if slices.ContainsFunc(want[:k], func(w Candidate) bool { return w.Slot == c.Slot }) {
					hits++
				}
			}
		}
		require.Greater(t, float64(hits)/float64(asked), 0.93, "metric %d", metric)
	}
}

// TestAScanBeginsWhereItIsTold: at any slot, aligned or not, and after what is released.
func TestAScanBeginsWhereItIsTold(t *testing.T) {
	const dimension, n = 256, growingSlots + 2*largestBlock + 77
	tier, entries := of(t, L2, latent(dimension, n))
	check := func(from, first Slot) {
		q := Query{Vector: entries[n/3].vector, Version: n, K: 20, From: from}
		got, compared, err := tier.Scan(context.Background(), q)
		require.NoError(t, err)
		require.Equal(t, n-int(min(first, n)), compared, "from %d", from)
		q.Keep = func(s Slot) bool { return s >= first }
		requireNear(t, tier, exactly(L2, entries, q.Vector, n, q.Keep), got, q, entries)
	}
	froms := []Slot{0, 1, 15, 16, 17, 47, 48, 1007, 1008, 1009, 1024, growingSlots - 1, growingSlots, growingSlots + 33, n - 1, n, n + 5000}
	for _, from := range froms {
		check(from, from)
	}
	require.Zero(t, released(tier))
	for _, r := range []struct{ through, first Slot }{
		{15, 0},
		{16, 16},
		{1008, 1008},
		{growingSlots + 5, growingSlots},
		{3, growingSlots},
		{growingSlots + largestBlock, growingSlots + largestBlock},
		{None, growingSlots + 2*largestBlock},
	} {
		tier.Release(r.through)
		require.Equal(t, r.first, released(tier), "through %d", r.through)
		for _, from := range froms {
			check(from, max(from, r.first))
		}
		visible, _, _ := tier.Visible(0, n, n)
		require.Len(t, visible, n, "records stay")
		require.Equal(t, uint64(3), tier.Record(2).Birth)
	}
	small, _ := filled(t, L2, 4, 100)
	small.Release(50)
	require.Zero(t, released(small), "without a frame nothing is")
	require.Nil(t, small.Frame())
}

// Large tiers are scanned by several goroutines; the answer must be that of one. A hundred vectors repeat, so most
// ranks are ties.
func TestTheAnswerDoesNotDependOnTheSplit(t *testing.T) {
	const dimension, n = 4096, 2*splitComponents/4096 + 100
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
	require.LessOrEqual(t, seen, stride, "not more than the stride it was in")
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
		for birth := range uint64(growingSlots + 100) {
			tier.Prepare(Entry{Vector: extreme[birth%5], Birth: birth + 1})
		}
		tier.Commit()
		for _, query := range extreme {
			for _, k := range []int{5, 5000} {
				got, _, err := tier.Scan(context.Background(), Query{Vector: query, Version: 5000, K: k})
				require.NoError(t, err)
				require.Len(t, got, min(k, tier.Len()))
				for _, c := range got {
					v := extreme[c.Slot%5]
					require.True(t, finite(c.Score), "metric %d, %v against %v: %v", metric, query, v, c.Score)
					require.True(t, finite(metric.NewExact(query).Score(v)), "metric %d, %v against %v", metric, query, v)
				}
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
