package simd

import "math"

const (
	// granule is what vectors are padded to: whole words of sign bits, and whole vectors of every tier.
	granule = 64
	// wholeRounds of signs and transform are enough where the transform takes the whole vector: the coordinates of any
	// vector are as good as normal then (Andoni et al., arXiv 1509.02897, section 3).
	wholeRounds = 3
	// windowRounds alternate between a window at the front and one at the end, so that each component passes at least
	// two. Fewer leave a part of a unit vector unspread: a kurtosis of 5 instead of 3 at 384 dimensions.
	windowRounds = 4
)

// Rotation is a random-looking orthonormal map: it keeps lengths and inner products and spreads what a vector holds evenly
// over its components, as 1-bit codes need (RaBitQ, arXiv 2405.12497, section 3.1.2). It is immutable.
//
// The scheme: a vector is padded with zeroes to a multiple of 64 components. A round flips signs, by a pseudorandom sequence,
// and applies the normalised Walsh-Hadamard transform to a window of the largest power of two that fits. Where that is
// everything there are three rounds. Else there are four, with the window at the front, the end, the front and the end, and
// half way the halves of the vector are mixed, (x+y)/√2 and (x-y)/√2 as in Kac's walk, so that they hold equal shares.
//
// Scales are multiplied into the signs. All paths give the same bits, on every machine: what is encoded again, at a replay
// or elsewhere, has the same codes.
type Rotation struct {
	dimension, padded, window int
	signs                     [][]float32 // a round each: ± the scale of a component
}

// NewRotation returns the rotation of vectors of a dimension, at least 1 (less panics), that the seed stands for.
func NewRotation(dimension int, seed uint64) *Rotation {
	if dimension < 1 {
		panic("simd: a rotation of no dimension")
	}
	r := &Rotation{dimension: dimension, padded: (dimension + granule - 1) / granule * granule, window: granule}
	for r.window*2 <= r.padded {
		r.window *= 2
	}
	random := splitMix(seed)
	r.signs = make([][]float32, windowRounds)
	if r.window == r.padded {
		r.signs = r.signs[:wholeRounds]
	}
	for round := range r.signs {
		r.signs[round] = r.roundSigns(round, &random)
	}
	return r
}

func (r *Rotation) roundSigns(round int, random *splitMix) []float32 {
	inside, outside := 1/math.Sqrt(float64(r.window)), 1.0
	if round > 0 && r.mixesAfter(round-1) {
		inside, outside = inside/math.Sqrt2, 1/math.Sqrt2
	}
	start := r.start(round)
	signs := make([]float32, r.padded)
	var bits uint64
	for i := range signs {
		if i%64 == 0 {
			bits = random.next()
		}
		scale := float32(outside)
		if start <= i && i < start+r.window {
			scale = float32(inside)
		}
		signs[i] = scale
		if padding := round == 0 && i >= r.dimension; bits>>(i%64)&1 == 1 && !padding { // which stays +0
			signs[i] = -scale
		}
	}
	return signs
}

// mixesAfter reports whether the halves are mixed after a round; the scale of that is in the signs of the next.
func (r *Rotation) mixesAfter(round int) bool {
	return r.window < r.padded && round == windowRounds/2-1
}

// start is where the window of a round begins.
func (r *Rotation) start(round int) int {
	if round%2 == 0 {
		return 0
	}
	return r.padded - r.window
}

// Padded is the dimension of rotated vectors: the original one, rounded up to a multiple of 64.
func (r *Rotation) Padded() int { return r.padded }

// Rotate writes the rotated v to to, which has Padded components and does not overlap v; v has the rotation's dimension.
// Anything else panics.
func (r *Rotation) Rotate(to, v []float32) {
	mustMatch(len(v), r.dimension)
	mustMatch(len(to), r.padded)
	rotate(active, r, to, v)
}

func rotate(t tier, r *Rotation, to, v []float32) {
	if len(v) >= r.window { // the first window is read where it lies
		hadamard(t, to[:r.window], v[:r.window], r.signs[0])
		multiply(t, to[r.window:], v[r.window:], r.signs[0][r.window:len(v)])
		clear(to[len(v):])
	} else {
		clear(to[copy(to, v):])
		hadamard(t, to, to, r.signs[0])
	}
	for round := 1; round < len(r.signs); round++ {
		start, end, signs := r.start(round), r.start(round)+r.window, r.signs[round]
		multiply(t, to[:start], to[:start], signs[:start])
		hadamard(t, to[start:end], to[start:end], signs[start:end])
		multiply(t, to[end:], to[end:], signs[end:])
		if r.mixesAfter(round) {
			butterfly(t, to, r.padded/2)
		}
	}
}

// hadamard leaves in to the Walsh-Hadamard transform of v times signs, not normalised, for a power of two of at least 64
// elements. Distances rise, whatever the number of them that a pass takes: all tiers round alike.
func hadamard(t tier, to, v, signs []float32) {
	done := hadamardChunks(t, to, v, signs)
	for done < len(to) {
		switch len(to) / done {
		case 2:
			butterfly(t, to, done)
			return
		case 8:
			butterfly8(t, to, done)
			return
		}
		for at := 0; at < len(to); at += done * 4 {
			butterfly4(t, to[at:at+done*4], done)
		}
		done *= 4
	}
}

// butterflyGo replaces each x in the first h elements, and y, h elements further, by x+y and x-y.
func butterflyGo(v []float32, h int) {
	x, y := v[:h], v[h:2*h]
	for i, a := range x {
		b := y[i]
		x[i], y[i] = a+b, a-b
	}
}

// butterfly4Go is butterflyGo over distance h and then 2h, in one pass over 4h elements.
func butterfly4Go(v []float32, h int) {
	v0, v1, v2, v3 := v[:h], v[h:2*h], v[2*h:3*h], v[3*h:4*h]
	for i, a := range v0 {
		b, c, d := v1[i], v2[i], v3[i]
		a, b, c, d = a+b, a-b, c+d, c-d
		v0[i], v1[i], v2[i], v3[i] = a+c, b+d, a-c, b-d
	}
}

// butterfly8Go is butterfly4Go over distances h and 2h, and then butterflyGo over 4h.
func butterfly8Go(v []float32, h int) {
	butterfly4Go(v[:4*h], h)
	butterfly4Go(v[4*h:], h)
	butterflyGo(v, 4*h)
}

// hadamard64Go transforms each chunk of 64 elements of v times signs: over distances 1 and 2, 4 and 8, then 16 and 32.
func hadamard64Go(to, v, signs []float32) {
	multiplyGo(to, v, signs)
	for v = to; len(v) >= granule; v = v[granule:] {
		for at := 0; at < granule; at += 4 {
			p := (*[4]float32)(v[at:])
			a, b, c, d := p[0]+p[1], p[0]-p[1], p[2]+p[3], p[2]-p[3]
			p[0], p[1], p[2], p[3] = a+c, b+d, a-c, b-d
		}
		for at := 0; at < granule; at += 16 {
			butterfly4Go(v[at:at+16], 4)
		}
		butterfly4Go(v[:granule], 16)
	}
}

func multiplyGo(to, a, b []float32) {
	b, to = b[:len(a)], to[:len(a)]
	for i, x := range a {
		to[i] = x * b[i]
	}
}

// splitMix is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): rotations must not change with a library.
type splitMix uint64

func (s *splitMix) next() uint64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
