// Package simd holds the kernels that compare and encode vectors: float32 and int8 products, 1-bit codes and their products
// with 4-bit queries, and what makes the codes: rotation, rounding, bit planes.
//
// There are three paths: AVX-512, AVX2 with FMA, and pure Go; dispatch.go is the one place that picks one, and ENGRAM_SIMD
// forces one. Every path gives the answers of the pure one at every length and alignment: the same bits, but for float32
// sums (Dot, SquaredL2, DotMany, Norms), which agree up to their rounding. All functions are safe for concurrent use, do
// not allocate, and read and write nothing but the slices given. Lengths that do not match panic.
package simd

// Dot returns the sum of a[i]*b[i], accumulated in float32. Components near the limits of float32 overflow to an
// infinity or NaN; Dot64 does not.
func Dot(a, b []float32) float32 {
	mustMatch(len(a), len(b))
	return dot(active, a, b)
}

// SquaredL2 returns the sum of (a[i]-b[i])², from direct differences (never ‖a‖²+‖b‖²−2ab, which cancels), accumulated
// in float32. It may overflow to +Inf; SquaredL264 does not.
func SquaredL2(a, b []float32) float32 {
	mustMatch(len(a), len(b))
	return squaredL2(active, a, b)
}

// SquaredNorm returns the sum of a[i]², accumulated in float64: no finite float32 vector overflows or underflows it.
func SquaredNorm(a []float32) float64 { return Dot64(a, a) }

// mustMatch stands before every kernel: reslicing b to a's length inside one would reach into b's spare capacity, and
// assembly would read past it.
func mustMatch(a, b int) {
	if a != b {
		panic("simd: vectors of different lengths")
	}
}
