package quant

import (
	"math"
	"math/bits"
	"slices"

	"github.com/engram-stream/engram/internal/simd"
)

const (
	// farNorms is how many times the median norm a vector's may be to have an estimate: beyond it, float32 has no digits left for
	// the others.
	farNorms = 1 << 20
	// longNorms is how many times the median norm a vector's may be to have a share in the centroid. Twenty among 6,000 that were
	// 100,000 times as long drew the centroid so far away that estimates told nothing of the others: recall@10 of 0.05.
	longNorms = 4
)

// Frame is what the 1-bit codes of a space are relative to. Immutable.
type Frame struct {
	centroid []float32 // rotated, in units
	perUnit  float64   // makes lengths about 1: one over the median norm of those that are not zero, a power of two
}

// NewFrame returns the frame of n vectors, at least one, given by their int8 codes: around their mean, those that are far longer
// than most left out. What is zero has no share in the median: there are few lengths about 1 where most vectors are zero.
func (s *Scheme) NewFrame(n int, at func(i int) ([]int8, Int8)) *Frame {
	norms := make([]float64, 0, n)
	for i := range n {
		if _, f := at(i); f.Squared > 0 {
			norms = append(norms, math.Sqrt(f.SquaredNorm()))
		}
	}
	f := &Frame{centroid: make([]float32, s.Padded()), perUnit: 1}
	if len(norms) == 0 {
		return f
	}
	slices.Sort(norms)
	median := norms[len(norms)/2]
	if median > 0 {
		f.perUnit = math.Ldexp(1, -math.Ilogb(median))
	}
	sums, count := make([]float64, s.Padded()), 0.0
	for i := range n {
		code, factors := at(i)
		if math.Sqrt(factors.SquaredNorm()) > longNorms*median {
			continue
		}
		count++
		scale := float64(factors.Scale) * f.perUnit
		for j, c := range code {
			sums[j] += float64(c) * scale
		}
	}
	for j, sum := range sums {
		f.centroid[j] = float32(sum / max(count, 1))
	}
	return f
}

// Bits is what stands beside a vector's 1-bit code, in units of the frame: see simd.Codes.
type Bits struct {
	Norm   float32 // squared distance to the centroid; -Inf for a vector that no estimate is possible for: always look nearer
	Factor float32
	Ones   float32
}

// Scratch is room to work in, for one goroutine.
type Scratch struct {
	rotated  Rotated
	residual []float32
}

// residualOf returns what a vector differs by from the centroid; false when it is too far away.
func (f *Frame) residualOf(w *Scratch, r *Rotated) ([]float32, bool) {
	w.residual = sized(w.residual, len(f.centroid))
	if r.Norm*f.perUnit > farNorms {
		return nil, false
	}
	simd.Residual(w.residual, r.Values, f.centroid, float32(r.Scale*f.perUnit))
	return w.residual, true
}

// Encode writes the 1-bit code of a vector, which has Words.
func (f *Frame) Encode(code []uint64, r *Rotated, w *Scratch) Bits {
	residual, ok := f.residualOf(w, r)
	if !ok {
		clear(code)
		return Bits{Norm: float32(math.Inf(-1))}
	}
	simd.SignBits(code, residual)
	absolute, squared := simd.Norms(residual)
	b := Bits{Norm: squared}
	if absolute > 0 {
		b.Factor = squared / absolute
	}
	ones := 0
	for _, word := range code {
		ones += bits.OnesCount64(word)
	}
	b.Ones = float32(ones)
	return b
}

// EncodeAgain is Encode of a vector of which only the int8 code is left.
func (f *Frame) EncodeAgain(code []uint64, int8s []int8, factors Int8, w *Scratch) Bits {
	decode(&w.rotated, int8s, factors)
	return f.Encode(code, &w.rotated, w)
}
