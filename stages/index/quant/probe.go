package quant

import (
	"math"

	"github.com/engram-stream/engram/internal/simd"
)

// Probe is a vector that the codes of a frame are compared with one by one. Its buffers can be used again.
type Probe struct {
	Code []int8 // compare with simd.DotInt8Many
	Int8

	Planes    []uint64 // compare with simd.DotBits4Many
	Estimate  simd.Estimate
	Estimated bool // false: by 1-bit codes, vectors are not told apart

	// Central is the product of the query's direction with the centroid, in units: an estimate is -2 times that with a vector, and
	// twice this more. Of InnerProbe alone, where Estimated.
	Central float32
}

// Probe fills p with a vector, for squared distances in units of the frame.
func (f *Frame) Probe(p *Probe, r *Rotated, w *Scratch) {
	f.encodeProbe(p, r)
	residual, ok := f.residualOf(w, r)
	if p.Estimated = ok; ok {
		p.Estimate = estimateBy(p.Planes, residual)
		_, p.Estimate.Norm = simd.Norms(residual)
	}
}

// InnerProbe fills p with a vector, for inner products: see NewInnerQuery.
func (f *Frame) InnerProbe(p *Probe, r *Rotated, w *Scratch) {
	f.encodeProbe(p, r)
	if p.Estimated = r.Norm > 0; !p.Estimated {
		return
	}
	w.residual = sized(w.residual, len(f.centroid))
	scale := float32(r.Scale / r.Norm)
	for i, x := range r.Values {
		w.residual[i] = x * scale
	}
	p.Estimate = estimateBy(p.Planes, w.residual)
	p.Central = simd.Dot(w.residual, f.centroid)
}

func (f *Frame) encodeProbe(p *Probe, r *Rotated) {
	f.fit(p)
	p.Int8 = EncodeInt8(p.Code, r)
}

func (f *Frame) fit(p *Probe) {
	if n := len(f.centroid); len(p.Code) != n || len(p.Planes) != simd.Planes*n/64 {
		p.Code, p.Planes = make([]int8, n), make([]uint64, simd.Planes*n/64)
	}
}

// Again is EncodeAgain, and fills p with the vector as Probe does; p.Code is the code that was given.
func (f *Frame) Again(p *Probe, code []uint64, int8s []int8, factors Int8, w *Scratch) Bits {
	if len(p.Planes) != simd.Planes*len(code) {
		p.Planes = make([]uint64, simd.Planes*len(code))
	}
	decode(&w.rotated, int8s, factors)
	p.Code, p.Int8 = int8s, factors
	b := f.Encode(code, &w.rotated, w)
	if p.Estimated = !math.IsInf(float64(b.Norm), -1); p.Estimated {
		p.Estimate = estimateBy(p.Planes, w.residual) // which Encode has left there
		p.Estimate.Norm = b.Norm
	}
	return b
}

// PerUnit is what a length times it is in units of the frame.
func (f *Frame) PerUnit() float64 { return f.perUnit }

// estimateBy writes the planes of a query's residual, and returns what goes into estimates beside them.
func estimateBy(planes []uint64, residual []float32) simd.Estimate {
	lower, step, sum := simd.QueryPlanes(planes, residual)
	return simd.Estimate{
		// Twice the inner product of the residuals is factor*(2*Σ over set bits - Σ over all) of the query's values, each
		// lower + step*(its 4 bits); all of them as they are rounded, so that most of the rounding cancels.
		PerSum: -4 * step, PerOne: -4 * lower,
		Constant: float32(2 * (float64(step)*float64(sum) + float64(lower)*float64(len(residual)))),
	}
}
