package simd

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const longest = 1100

func randomVector(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// naive returns the two sums in float64 and, for the error bound, the sum of the terms' magnitudes.
func naive(a, b []float32) (dot, dotSize, squared float64) {
	for i := range a {
		p := float64(a[i]) * float64(b[i])
		dot += p
		dotSize += math.Abs(p)
		d := float64(a[i]) - float64(b[i])
		squared += d * d
	}
	return dot, dotSize, squared
}

// bound is the textbook bound for a float32 sum of n products: (n+2) rounding units of the magnitudes' sum.
func bound(n int, size float64) float64 { return float64(n+2) * 0x1p-24 * size }

func TestEveryPathEqualsTheNaiveSumAtEveryLength(t *testing.T) {
	for _, path := range supported() {
		t.Run(path.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for n := range longest + 1 {
				offset := n % 5 // odd alignments of the slice's start
				a, b := randomVector(r, n+offset)[offset:], randomVector(r, n+offset)[offset:]
				want, size, squared := naive(a, b)
				require.InDelta(t, want, dot(path, a, b), bound(n, size), "dot at length %d", n)
				require.InDelta(t, squared, squaredL2(path, a, b), bound(n+2, squared), "l2 at length %d", n)
				require.InDelta(t, want, Dot64(a, b), 1e-12*(1+size), "dot64 at length %d", n)
				require.InDelta(t, squared, SquaredL264(a, b), 1e-12*(1+squared), "l2 64 at length %d", n)
			}
		})
	}
}

// Sums of small whole numbers are exact in float32, so nothing may differ: a missed or doubled component shows.
func TestEveryPathIsExactOnWholeNumbers(t *testing.T) {
	for _, path := range supported() {
		t.Run(path.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			for n := range longest + 1 {
				a, b := make([]float32, n), make([]float32, n)
				for i := range a {
					a[i], b[i] = float32(r.IntN(31)-15), float32(r.IntN(31)-15)
				}
				want, _, squared := naive(a, b)
				require.Equal(t, float32(want), dot(path, a, b), "length %d", n)
				require.Equal(t, float32(squared), squaredL2(path, a, b), "length %d", n)
			}
		})
	}
}

func TestEachComponentCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, longest).Draw(t, "length")
		at := rapid.IntRange(0, n-1).Draw(t, "component")
		a, b := make([]float32, n), make([]float32, n)
		a[at], b[at] = 3, 5
		for _, path := range supported() {
			require.Equal(t, float32(15), dot(path, a, b))
			require.Equal(t, float32(4), squaredL2(path, a, b))
		}
	})
}

func TestDispatch(t *testing.T) {
	a, b := []float32{1, 2, 3}, []float32{4, 5, 7}
	require.Equal(t, float32(35), Dot(a, b))
	require.Equal(t, float32(34), SquaredL2(a, b))
	require.Equal(t, 14.0, SquaredNorm(a))
	require.Equal(t, supported()[0].String(), Path())
	require.NoError(t, CheckEnvironment())
	require.Panics(t, func() { Dot(a, b[:2]) })
}

func TestTheWideSumsDoNotOverflow(t *testing.T) {
	huge := []float32{math.MaxFloat32, math.MaxFloat32}
	require.True(t, math.IsInf(float64(Dot(huge, huge)), 1))
	require.InEpsilon(t, 2*float64(math.MaxFloat32)*float64(math.MaxFloat32), Dot64(huge, huge), 1e-12)
	require.Positive(t, SquaredNorm([]float32{math.SmallestNonzeroFloat32}))
}
