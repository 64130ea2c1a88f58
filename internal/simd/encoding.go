package simd

import "math"

// QuantizeInt8 writes each component times the scale, rounded to the nearest whole number (ties to even) and kept within
// ±127, to to. NaN becomes -127. Both slices have the same length; anything else panics. All paths give the same bytes.
func QuantizeInt8(to []int8, v []float32, scale float32) {
	mustMatch(len(to), len(v))
	quantizeInt8(active, to, v, scale)
}

// Residual writes what each component times the scale differs by from the centroid's, v[i]*scale-centroid[i], to to; product
// and difference are rounded one by one. to may be v. All have the same length; anything else panics. All paths give the same
// bits.
func Residual(to, v, centroid []float32, scale float32) {
	mustMatch(len(to), len(v))
	mustMatch(len(centroid), len(v))
	residual(active, to, v, centroid, scale)
}

// SignBits writes the 1-bit code of v (RaBitQ, arXiv 2405.12497, section 3.1.3): bit i%64 of word i/64 is set where the sign
// of v[i] is positive; that of +0 is, that of -0 is not. Bits beyond v are zero. to has a word for each 64 components,
// rounded up; anything else panics.
func SignBits(to []uint64, v []float32) {
	mustMatch(len(to), words(len(v)))
	signBits(active, to, v)
}

// Norms returns the sums of the components' magnitudes and of their squares, in float32: what the correction terms of a
// 1-bit code are made of. They overflow to +Inf where SquaredNorm would not.
func Norms(v []float32) (absolute, squared float32) { return norms(active, v) }

// Bounds returns the least and the greatest component of v, which is not empty; an empty one panics. With NaN the result is
// unspecified.
func Bounds(v []float32) (lower, upper float32) {
	if len(v) == 0 {
		panic("simd: the bounds of nothing")
	}
	return bounds(active, v)
}

// QueryPlanes quantizes a query to 4-bit values (RaBitQ, arXiv 2405.12497, section 3.3.1, with plain rounding): the i-th
// is (v[i]-lower)/step, rounded to the nearest (ties to even), with lower the least component and step a fifteenth of the
// range. It writes them as bit planes: bit i%64 of word i/64 of plane p is bit p of the i-th value, and bits beyond v are
// zero. It returns lower, step and the sum of all values. Where all components are the same, step and values are 0.
//
// planes has Planes words for each 64 components, rounded up, and v is not empty; anything else panics. Components are
// finite: with others the result is unspecified, and differs between paths. With finite ones all paths give the same.
func QueryPlanes(planes []uint64, v []float32) (lower, step float32, sum uint32) {
	mustMatch(len(planes), Planes*words(len(v)))
	if len(v) == 0 {
		panic("simd: a query without components")
	}
	lower, upper := bounds(active, v)
	extent := upper - lower
	perStep := float32(0)
	if extent > 0 {
		perStep = 15 / extent
	}
	return lower, extent / 15, queryPlanes(active, planes, v, lower, perStep)
}

func words(components int) int { return (components + 63) / 64 }

// clampRound is one component as all tiers compute it: below low or NaN is low, above high is high, and the sum with
// 1.5*2^23 has no room for a fraction, so that the addition rounds. The conversions keep a compiler from fusing.
func clampRound(scaled, low, high float32) float32 {
	const noFraction = 3 << 22
	if !(scaled > low) {
		return low
	}
	if scaled > high {
		return high
	}
	return float32(scaled+noFraction) - noFraction
}

func quantizeInt8Go(to []int8, v []float32, scale float32) {
	to = to[:len(v)]
	for i, x := range v {
		to[i] = int8(clampRound(float32(x*scale), -127, 127))
	}
}

func residualGo(to, v, centroid []float32, scale float32) {
	to, centroid = to[:len(v)], centroid[:len(v)]
	for i, x := range v {
		to[i] = float32(x*scale) - centroid[i]
	}
}

// signBitsGo starts at component first, a multiple of 8, of a code that is zero from there on.
func signBitsGo(to []uint64, v []float32, first int) {
	for i := first; i < len(v); i++ {
		to[i/64] |= uint64(^math.Float32bits(v[i])>>31) << (i % 64)
	}
}

func normsGo(v []float32) (absolute, squared float32) {
	var a0, a1, s0, s1 float32
	for len(v) >= 2 {
		x, y := v[0], v[1]
		a0 += math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
		a1 += math.Float32frombits(math.Float32bits(y) &^ (1 << 31))
		s0 += x * x
		s1 += y * y
		v = v[2:]
	}
	if len(v) > 0 {
		a0 += math.Float32frombits(math.Float32bits(v[0]) &^ (1 << 31))
		s0 += v[0] * v[0]
	}
	return a0 + a1, s0 + s1
}

func boundsGo(v []float32) (lower, upper float32) {
	lower, upper = v[0], v[0]
	for _, x := range v {
		if x < lower {
			lower = x
		}
		if x > upper {
			upper = x
		}
	}
	return lower, upper
}

// queryPlanesGo starts at component first of planes that are zero from there on.
func queryPlanesGo(planes []uint64, v []float32, first int, lower, perStep float32) uint32 {
	n, sum := len(planes)/Planes, uint32(0)
	p0, p1, p2, p3 := planes[:n], planes[n:2*n], planes[2*n:3*n], planes[3*n:]
	for w := first / 64; w < n; w++ {
		var b0, b1, b2, b3 uint64
		for i := max(first, w*64); i < min(len(v), w*64+64); i++ {
			value := uint64(clampRound(float32(float32(v[i]-lower)*perStep), 0, 15))
			sum += uint32(value)
			b0 |= value & 1 << (i % 64)
			b1 |= value >> 1 & 1 << (i % 64)
			b2 |= value >> 2 & 1 << (i % 64)
			b3 |= value >> 3 & 1 << (i % 64)
		}
		p0[w], p1[w], p2[w], p3[w] = p0[w]|b0, p1[w]|b1, p2[w]|b2, p3[w]|b3
	}
	return sum
}
