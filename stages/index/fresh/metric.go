package fresh

import (
	"math"
	"slices"

	"github.com/engram-stream/engram/internal/simd"
	"github.com/engram-stream/engram/stages/index/quant"
)

// Metric is how vectors are compared. Scores are "higher is better", finite and never NaN.
type Metric uint8

// The metrics: the cosine in [-1, 1]; the dot product; the negated Euclidean distance. Scores beyond float32 are its
// largest value.
const (
	Cosine Metric = iota + 1
	Dot
	L2
)

// approximate compares a query with a vector's code, given the product of the two codes. For the cosine the distance of the
// codes is more exact than their product: its error shrinks with it.
func (m Metric) approximate(q *quant.Query, codes int32, f quant.Int8) float32 {
	switch m {
	case Cosine:
		return float32(max(1-q.SquaredL2(codes, f)/2, -1))
	case Dot:
		return clamp(q.Dot(codes, f))
	default:
		return clamp(0 - math.Sqrt(q.SquaredL2(codes, f))) // 0 - x: equal codes score 0, not -0
	}
}

// coarse makes the estimate of a 1-bit code rank as the metric does: for the dot product it is one of that alone.
func (m Metric) coarse(b quant.Bits) quant.Bits {
	if m == Dot && !math.IsInf(float64(b.Norm), -1) {
		b.Norm = 0
	}
	return b
}

// encode prepares a query for codes with or without a frame.
func (m Metric) encode(scheme *quant.Scheme, query []float32, frame *quant.Frame) (q *quant.Query, estimated bool) {
	var rotated quant.Rotated
	scheme.Rotate(&rotated, query)
	switch m {
	case Dot:
		return scheme.NewInnerQuery(&rotated, frame)
	case Cosine:
		rotated.Normalize()
	}
	return scheme.NewQuery(&rotated, frame)
}

// Exact compares vectors with a query at full precision. Immutable, safe for concurrent use.
type Exact struct {
	metric Metric
	query  []float32 // of length 1 for the cosine
}

// NewExact copies the query, of finite components.
func (m Metric) NewExact(query []float32) *Exact {
	if norm := math.Sqrt(simd.SquaredNorm(query)); m == Cosine && norm > 0 {
		return &Exact{metric: m, query: quant.AppendUnit(nil, query, norm)}
	}
	return &Exact{metric: m, query: slices.Clone(query)}
}

// Score compares a vector of as many components; a zero vector has the cosine 0 with everything.
func (e *Exact) Score(v []float32) float32 {
	switch e.metric {
	case Cosine:
		return cosineScore(e.query, v)
	case Dot:
		return dotScore(e.query, v)
	default:
		return l2Score(e.query, v)
	}
}

func cosineScore(unit, v []float32) float32 {
	if _, squared := simd.Norms(v); quant.InRange(squared) {
		return float32(min(max(float64(simd.Dot(unit, v))/math.Sqrt(float64(squared)), -1), 1))
	}
	norm := math.Sqrt(simd.SquaredNorm(v))
	if norm == 0 {
		return 0
	}
	return float32(min(max(simd.Dot64(unit, v)/norm, -1), 1))
}

func dotScore(query, v []float32) float32 {
	if s := simd.Dot(query, v); finite(s) {
		return s
	}
	return clamp(simd.Dot64(query, v))
}

func l2Score(query, v []float32) float32 {
	squared := simd.SquaredL2(query, v)
	if !finite(squared) {
		return clamp(-math.Sqrt(simd.SquaredL264(query, v)))
	}
	return float32(0 - math.Sqrt(float64(squared))) // 0 - x: equal vectors score 0, not -0
}

// finite is false for NaN and the infinities: their difference with themselves is NaN.
func finite(s float32) bool { return s-s == 0 }

func clamp(s float64) float32 {
	return float32(min(max(s, -math.MaxFloat32), math.MaxFloat32))
}
