// Package simd holds the vector kernels: dot product, squared Euclidean distance, squared norm.
//
// Every path gives the answers of the pure Go one (kernels_go.go) up to the rounding of float32 sums, at every length
// and alignment. dispatch.go is the one place that picks a path. All functions are pure, safe for concurrent use and do
// not allocate. The slices of one call have the same length; anything else panics.
package simd

// Dot returns the sum of a[i]*b[i], accumulated in float32. Components near the limits of float32 overflow to an
// infinity or NaN; Dot64 does not.
func Dot(a, b []float32) float32 {
	mustMatch(a, b)
	return active.dot(a, b)
}

// SquaredL2 returns the sum of (a[i]-b[i])², from direct differences (never ‖a‖²+‖b‖²−2ab, which cancels), accumulated
// in float32. It may overflow to +Inf; SquaredL264 does not.
func SquaredL2(a, b []float32) float32 {
	mustMatch(a, b)
	return active.squaredL2(a, b)
}

// SquaredNorm returns the sum of a[i]², accumulated in float64: no finite float32 vector overflows or underflows it.
func SquaredNorm(a []float32) float64 { return Dot64(a, a) }

// mustMatch stands before every kernel: reslicing b to a's length inside one would reach into b's spare capacity, and
// assembly would read past it.
func mustMatch(a, b []float32) {
	if len(a) != len(b) {
		panic("simd: vectors of different lengths")
	}
}
