package fresh

import (
	"math"

	"github.com/engram-stream/engram/internal/simd"
)

// Metric is how vectors are compared. Scores are "higher is better", finite and never NaN.
type Metric uint8

// The metrics: the cosine in [-1, 1]; the dot product; the negated Euclidean distance. Dot products beyond float32
// are scored as its largest value.
const (
	Cosine Metric = iota + 1
	Dot
	L2
)

// store writes v into dst as the metric needs it: a unit vector for the cosine, else as it is. A zero vector has no
// direction; the stages before refuse it, and here it stays zero and scores 0.
func (m Metric) store(dst, v []float32) {
	if m != Cosine {
		copy(dst, v)
		return
	}
	scale := 0.0
	if norm := simd.SquaredNorm(v); norm > 0 {
		scale = 1 / math.Sqrt(norm)
	}
	for i, x := range v {
		dst[i] = float32(float64(x) * scale)
	}
}

// score compares a stored vector with a query that went through store.
func (m Metric) score(query, v []float32) float32 {
	switch m {
	case Cosine:
		return min(max(simd.Dot(query, v), -1), 1)
	case Dot:
		return dotScore(query, v)
	default:
		return l2Score(query, v)
	}
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
