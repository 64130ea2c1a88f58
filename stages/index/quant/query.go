package quant

import "github.com/engram-stream/engram/internal/simd"

// Query is a vector that codes are compared with. Immutable once made; safe for concurrent use.
type Query struct {
	Code []int8 // compare with simd.DotInt8
	Int8

	// Of a query in a frame: see simd.DotBits4, simd.QueryTables and simd.FilterEstimates. Estimates are of squared distances, in units; of
	// a query by inner product, they fall as that rises, and the codes' norms are to be left out.
	Planes   []uint64
	Estimate simd.Estimate
}

// NewQuery encodes a query, in a frame if that is not nil. estimated is false when there is none, or when the query is so
// far from its vectors that estimates would not tell them apart: then all have to be looked at nearer.
func (s *Scheme) NewQuery(r *Rotated, f *Frame) (q *Query, estimated bool) {
	q = s.newQuery(r)
	if f == nil {
		return q, false
	}
	residual, ok := f.residualOf(&Scratch{}, r)
	if !ok {
		return q, false
	}
	q.estimate(residual)
	_, q.Estimate.Norm = simd.Norms(residual)
	return q, true
}

// NewInnerQuery is NewQuery where vectors rank by their inner product with the query. That is the product with the centroid,
// the same for all, and with what they differ by from it: only this is estimated. Around the centroid, as a distance, the
// query would be estimated with an error of the centroid's size, which may be far more than its own.
func (s *Scheme) NewInnerQuery(r *Rotated, f *Frame) (q *Query, estimated bool) {
	q = s.newQuery(r)
	if f == nil || r.Norm == 0 {
		return q, false
	}
	unit := make([]float32, len(r.Values))
	scale := float32(r.Scale / r.Norm)
	for i, x := range r.Values {
		unit[i] = x * scale
	}
	q.estimate(unit)
	return q, true
}

func (s *Scheme) newQuery(r *Rotated) *Query {
	q := &Query{Code: make([]int8, s.Padded())}
	q.Int8 = EncodeInt8(q.Code, r)
	return q
}

func (q *Query) estimate(residual []float32) {
	q.Planes = make([]uint64, simd.Planes*len(residual)/64)
	q.Estimate = estimateBy(q.Planes, residual)
}

// Dot returns the inner product with a vector, from that of the codes.
func (q *Query) Dot(codes int32, f Int8) float64 {
	return float64(q.Scale) * float64(f.Scale) * float64(codes)
}

// SquaredL2 returns the squared distance to a vector, from the inner product of the codes: that between the vectors that the
// codes stand for, whose error shrinks with the distance, so that neighbours are told apart.
func (q *Query) SquaredL2(codes int32, f Int8) float64 {
	return max(q.SquaredNorm()+f.SquaredNorm()-2*q.Dot(codes, f), 0)
}
