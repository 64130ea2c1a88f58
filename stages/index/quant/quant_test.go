package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/simd"
)

// clustered makes n vectors that have much in common, as embeddings do: their mean is as long as what they differ by.
func clustered(r *rand.Rand, n, dimension int, length float64) [][]float32 {
	mean := make([]float64, dimension)
	for i := range mean {
		mean[i] = r.NormFloat64()
	}
	all := make([][]float32, n)
	for i := range all {
		all[i] = make([]float32, dimension)
		for j := range all[i] {
			all[i][j] = float32((mean[j] + r.NormFloat64()) * length / math.Sqrt(2*float64(dimension)))
		}
	}
	return all
}

// coded is a vector with its codes.
type coded struct {
	vector []float32
	int8s  []int8
	Int8
	bits []uint64
	Bits
}

func encodeAll(s *Scheme, vectors [][]float32) ([]coded, *Frame) {
	all := make([]coded, len(vectors))
	var r Rotated
	for i, v := range vectors {
		s.Rotate(&r, v)
		all[i] = coded{vector: v, int8s: make([]int8, s.Padded()), bits: make([]uint64, s.Words())}
		all[i].Int8 = EncodeInt8(all[i].int8s, &r)
	}
	f := s.NewFrame(len(all), func(i int) ([]int8, Int8) { return all[i].int8s, all[i].Int8 })
	var w Scratch
	for i := range all {
		s.Rotate(&r, all[i].vector)
		all[i].Bits = f.Encode(all[i].bits, &r, &w)
	}
	return all, f
}

func (s *Scheme) query(v []float32, f *Frame) (*Query, bool) {
	var r Rotated
	s.Rotate(&r, v)
	return s.NewQuery(&r, f)
}

// TestInt8DistancesAreNear: the error of an inner product is that of rounding, spread over the components at random.
func TestInt8DistancesAreNear(t *testing.T) {
	for _, dimension := range []int{1, 2, 17, 100, 384, 768, 784, 1536} {
		for _, length := range []float64{1e-25, 1, 1e6, 1e25} {
			t.Run(fmt.Sprint(dimension, length), func(t *testing.T) {
				s := For(dimension)
				all, _ := encodeAll(s, clustered(rand.New(rand.NewPCG(1, 2)), 100, dimension, length))
				for _, a := range all[:10] {
					q, _ := s.query(a.vector, nil)
					for _, b := range all {
						want := 0.0
						for j := range a.vector {
							want += float64(a.vector[j]) * float64(b.vector[j])
						}
						size := math.Sqrt(q.SquaredNorm() * b.SquaredNorm())
						// A component is off by half of its scale at most, a 1/sqrt(12) of it on average; six times that is not met.
						most := 6 / math.Sqrt(12) * (float64(q.Scale)*math.Sqrt(b.SquaredNorm()) + float64(b.Scale)*math.Sqrt(q.SquaredNorm()))
						require.InDelta(t, want/size, q.Dot(simd.DotInt8(q.Code, b.int8s), b.Int8)/size, most/size+1e-6)
					}
				}
			})
		}
	}
}

// TestEstimatesAreUnbiased: RaBitQ's promise, theorem 3.2: no bias, and an error of the order of 1/sqrt(dimension).
func TestEstimatesAreUnbiased(t *testing.T) {
	for _, dimension := range []int{128, 384, 768, 1536} {
		for _, length := range []float64{1e-12, 1, 1e9} {
			t.Run(fmt.Sprint(dimension, length), func(t *testing.T) {
				s := For(dimension)
				all, f := encodeAll(s, clustered(rand.New(rand.NewPCG(3, 4)), 400, dimension, length))
				n, sum, squares := 0.0, 0.0, 0.0
				for _, a := range all[:20] {
					q, estimated := s.query(a.vector, f)
					require.True(t, estimated)
					for _, b := range all[20:] {
						truth := squaredL2(a.vector, b.vector) * f.perUnit * f.perUnit
						e := (estimate(q, b) - truth) / math.Sqrt(float64(b.Norm)*float64(q.Estimate.Norm))
						n, sum, squares = n+1, sum+e, squares+e*e
					}
				}
				deviation := math.Sqrt(squares / n)
				assert.Less(t, math.Abs(sum/n), 4*deviation/math.Sqrt(n)+0.01, "bias")
				assert.Less(t, deviation*math.Sqrt(float64(dimension)), 2.5, "error of 2 cos")
			})
		}
	}
}

// TestInnerProductsAreEstimated: with an error of the size of what is compared, however long the centroid is beside the query.
func TestInnerProductsAreEstimated(t *testing.T) {
	const dimension = 768
	s := For(dimension)
	all, f := encodeAll(s, clustered(rand.New(rand.NewPCG(3, 4)), 400, dimension, 1000))
	n, sum, squares := 0.0, 0.0, 0.0
	r := Rotated{}
	for _, a := range clustered(rand.New(rand.NewPCG(5, 6)), 20, dimension, 1e-3) {
		s.Rotate(&r, a)
		q, estimated := s.NewInnerQuery(&r, f)
		require.True(t, estimated)
		centroid := simd.Dot64(r.Values, f.centroid) / r.Norm
		for _, b := range all {
			// The estimate is of -2 times the product of what differs from the centroid.
			truth := -2 * (simd.Dot64(a, b.vector)/r.Norm*f.perUnit - centroid)
			b.Norm = 0
			n, sum, squares = n+1, sum+estimate(q, b)-truth, squares+(estimate(q, b)-truth)*(estimate(q, b)-truth)
		}
	}
	deviation := math.Sqrt(squares / n)
	assert.Less(t, math.Abs(sum/n), 4*deviation/math.Sqrt(n)+0.01, "bias")
	assert.Less(t, deviation*math.Sqrt(dimension), 2.5, "error of 2 cos, of lengths of about 1")
	_, estimated := s.NewInnerQuery(&Rotated{Values: make([]float32, s.Padded())}, f)
	assert.False(t, estimated, "all are at the same distance of the zero vector")
}

func squaredL2(a, b []float32) (sum float64) {
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return sum
}

// estimate goes the way of a scan: blocks, then the filter.
func estimate(q *Query, c coded) float64 {
	block := make([]byte, 8*simd.Lanes*len(c.bits))
	for j := range 8 * len(c.bits) {
		block[j*simd.Lanes+3] = byte(c.bits[j/8] >> (j % 8 * 8))
	}
	tables := make([]byte, simd.TableBytes*len(c.bits))
	simd.QueryTables(tables, q.Planes)
	sums := make([]uint32, simd.Lanes)
	simd.DotBits4Blocks(sums, block, tables)
	indexes, estimates := make([]uint32, 1), make([]float32, 1)
	n := simd.FilterEstimates(indexes, estimates, simd.Codes{
		Sums: sums[3:4], Norms: []float32{c.Norm}, Factors: []float32{c.Factor}, Ones: []float32{c.Ones},
	}, q.Estimate, math.MaxFloat32, 0)
	if n != 1 {
		return math.NaN()
	}
	return float64(estimates[0])
}

// TestTheSameVectorIsAtNoDistance: what is encoded twice is found.
func TestTheSameVectorIsAtNoDistance(t *testing.T) {
	s := For(768)
	all, f := encodeAll(s, clustered(rand.New(rand.NewPCG(5, 6)), 50, 768, 1))
	for _, a := range all {
		q, _ := s.query(a.vector, f)
		assert.InDelta(t, 0, q.SquaredL2(simd.DotInt8(q.Code, a.int8s), a.Int8), 1e-12)
		again := make([]uint64, s.Words())
		b := f.EncodeAgain(again, a.int8s, a.Int8, &Scratch{})
		assert.LessOrEqual(t, simd.Hamming(again, a.bits), uint32(40), "only what lies beside the centroid")
		assert.InEpsilon(t, a.Norm, b.Norm, 1e-2)
	}
}

// TestNothingIsBeyondEstimating: whatever finite vectors come, a code's estimate is a number or says to look nearer.
func TestNothingIsBeyondEstimating(t *testing.T) {
	component := rapid.OneOf(
		rapid.Float32Range(-1, 1), rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32),
		rapid.SampledFrom([]float32{0, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 1e-30, 1e30}),
	)
	rapid.Check(t, func(t *rapid.T) {
		dimension := rapid.IntRange(1, 70).Draw(t, "dimension")
		vectors := rapid.SliceOfN(rapid.SliceOfN(component, dimension, dimension), 1, 20).Draw(t, "vectors")
		s := For(dimension)
		all, f := encodeAll(s, vectors)
		for _, a := range all {
			q, estimated := s.query(a.vector, f)
			for _, b := range all {
				for _, x := range []float64{q.SquaredL2(simd.DotInt8(q.Code, b.int8s), b.Int8), q.Dot(simd.DotInt8(q.Code, b.int8s), b.Int8)} {
					assert.False(t, math.IsNaN(x) || math.IsInf(x, 0), "%v and %v", a.vector, b.vector)
				}
				if estimated {
					assert.False(t, math.IsNaN(estimate(q, b)), "%v and %v", a.vector, b.vector)
				}
			}
		}
	})
}

// TestNormalized: a vector's length does not show in its codes.
func TestNormalized(t *testing.T) {
	s := For(100)
	v := clustered(rand.New(rand.NewPCG(7, 8)), 1, 100, 3)[0]
	long := make([]float32, len(v))
	for i, x := range v {
		long[i] = 1024 * x
	}
	var r Rotated
	codes := make([][]int8, 2)
	factors := make([]Int8, 2)
	for i, v := range [][]float32{v, long} {
		s.Rotate(&r, v)
		r.Normalize()
		codes[i] = make([]int8, s.Padded())
		factors[i] = EncodeInt8(codes[i], &r)
	}
	assert.Equal(t, codes[0], codes[1])
	assert.InDelta(t, 1, factors[1].SquaredNorm(), 1e-2)
	assert.InEpsilon(t, factors[0].Scale, factors[1].Scale, 1e-6)
	s.Rotate(&r, make([]float32, 100))
	r.Normalize()
	assert.Zero(t, EncodeInt8(codes[0], &r))
}

func TestMisuseIsCaught(t *testing.T) {
	s := For(3)
	assert.Panics(t, func() { For(0) })
	assert.Panics(t, func() { s.Rotate(&Rotated{}, make([]float32, 4)) })
}

// BenchmarkCodes is what a vector costs on its way in, and a query.
func BenchmarkCodes(b *testing.B) {
	for _, dimension := range []int{384, 768, 784, 1024, 1536} {
		s := For(dimension)
		all, f := encodeAll(s, clustered(rand.New(rand.NewPCG(9, 10)), 1000, dimension, 1))
		c, r, w := all[0], Rotated{}, Scratch{}
		b.Run(fmt.Sprint("encode/", dimension), func(b *testing.B) {
			for b.Loop() {
				s.Rotate(&r, c.vector)
				EncodeInt8(c.int8s, &r)
				f.Encode(c.bits, &r, &w)
			}
		})
		b.Run(fmt.Sprint("query/", dimension), func(b *testing.B) {
			for b.Loop() {
				s.Rotate(&r, c.vector)
				s.NewQuery(&r, f)
			}
		})
	}
}

// TestTheCentroidIsThatOfMost: a few long vectors do not move it, nor do many zero ones decide what is long.
func TestTheCentroidIsThatOfMost(t *testing.T) {
	s := For(384)
	vectors := clustered(rand.New(rand.NewPCG(9, 10)), 400, 384, 1000)
	_, plain := encodeAll(s, vectors)
	for _, factor := range []float32{100, 1e5, 1e8} {
		long := slices.Clone(vectors)
		for i := range 5 {
			long[i] = slices.Clone(long[i])
			for j := range long[i] {
				long[i][j] *= factor
			}
		}
		for range 600 {
			long = append(long, make([]float32, 384))
		}
		_, f := encodeAll(s, long)
		assert.Equal(t, plain.perUnit, f.perUnit)
		// The zero vectors, three in five, draw it towards them, and nothing else does.
		assert.InDelta(t, 0.4, math.Sqrt(simd.SquaredNorm(f.centroid)/simd.SquaredNorm(plain.centroid)), 0.01)
	}
}
