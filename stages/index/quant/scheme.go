package quant

import (
	"fmt"
	"math"
	"sync"

	"github.com/engram-stream/engram/internal/simd"
)

// rotationSeed fixes the rotation: codes that are kept on disk depend on it.
const rotationSeed = 0x656e6772616d // "engram"

// InRange reports whether sums over the components of a vector of a squared norm keep what is in them in float32. The others,
// and those whose squared norm is NaN since infinities cancel, are scaled to length 1 before they are rotated.
func InRange(squared float32) bool { return squared >= 1e-30 && squared <= 1e30 }

// Scheme is how vectors of one dimension are encoded. Immutable, and shared: it takes 4 floats a component.
type Scheme struct {
	rotation  *simd.Rotation
	dimension int
}

var schemes sync.Map // of int, *Scheme

// For returns the scheme of a dimension, at least 1; less panics.
func For(dimension int) *Scheme {
	if s, ok := schemes.Load(dimension); ok {
		return s.(*Scheme)
	}
	s, _ := schemes.LoadOrStore(dimension, &Scheme{rotation: simd.NewRotation(dimension, rotationSeed), dimension: dimension})
	return s.(*Scheme)
}

// Dimension is that of the vectors.
func (s *Scheme) Dimension() int { return s.dimension }

// Padded is how many components an int8 code has: the dimension, rounded up to a multiple of 64.
func (s *Scheme) Padded() int { return s.rotation.Padded() }

// Words is how many words of 64 bits a 1-bit code has.
func (s *Scheme) Words() int { return s.Padded() / 64 }

// Rotated is a rotated vector: Scale times Values. The buffer can be used again.
type Rotated struct {
	Values []float32 // Padded of them
	Scale  float64
	Norm   float64 // length of the vector; 0 for the zero vector

	scaled []float32 // where the vector had to be scaled first
}

// Rotate fills to with a vector of finite components; one of another dimension panics.
func (s *Scheme) Rotate(to *Rotated, v []float32) {
	if len(v) != s.dimension {
		panic(fmt.Sprintf("quant: a vector of %d components where they have %d", len(v), s.dimension))
	}
	to.Values = sized(to.Values, s.Padded())
	_, squared := simd.Norms(v)
	to.Scale, to.Norm = 1, math.Sqrt(float64(squared))
	if !InRange(squared) {
		v = to.toUnit(v)
	}
	s.rotation.Rotate(to.Values, v)
}

// sized returns room for n components, in what there is if that is enough.
func sized(room []float32, n int) []float32 {
	if cap(room) < n {
		return make([]float32, n)
	}
	return room[:n]
}

// toUnit returns v scaled to length 1, and notes by how much; the zero vector stays as it is.
func (r *Rotated) toUnit(v []float32) []float32 {
	r.Norm = math.Sqrt(simd.SquaredNorm(v))
	if r.Norm == 0 {
		return v
	}
	r.Scale = r.Norm
	r.scaled = AppendUnit(r.scaled[:0], v, r.Norm)
	return r.scaled
}

// Length returns a vector's.
func Length(v []float32) float64 { return math.Sqrt(simd.SquaredNorm(v)) }

// AppendUnit appends a vector of a norm, which is not 0, scaled to length 1.
func AppendUnit(to, v []float32, norm float64) []float32 {
	for _, x := range v {
		to = append(to, float32(float64(x)/norm))
	}
	return to
}

// Normalize makes it a vector of length 1 in the same direction; the zero vector has none, and stays.
func (r *Rotated) Normalize() {
	if r.Norm > 0 {
		r.Scale, r.Norm = r.Scale/r.Norm, 1
	}
}

// Int8 is what stands beside a vector's int8 components: a component of the rotated vector is about Scale times the int8,
// which beyond float32 is its largest value.
type Int8 struct {
	Scale   float32
	Squared int32 // the code's product with itself
}

// SquaredNorm returns the squared length of the vector that the code stands for.
func (f Int8) SquaredNorm() float64 { return float64(f.Scale) * float64(f.Scale) * float64(f.Squared) }

// EncodeInt8 writes the int8 code of a vector, which has Padded components.
func EncodeInt8(code []int8, r *Rotated) Int8 {
	lower, upper := simd.Bounds(r.Values)
	largest := max(-lower, upper)
	if largest == 0 {
		clear(code)
		return Int8{}
	}
	simd.QuantizeInt8(code, r.Values, 127/largest)
	scale := min(float64(largest)/127*r.Scale, math.MaxFloat32)
	return Int8{Scale: float32(scale), Squared: simd.DotInt8(code, code)}
}

// decode makes the rotated vector of an int8 code again, as nearly as it is known.
func decode(to *Rotated, code []int8, f Int8) {
	to.Values = sized(to.Values, len(code))
	for i, c := range code {
		to.Values[i] = float32(c)
	}
	to.Scale, to.Norm = float64(f.Scale), math.Sqrt(f.SquaredNorm())
}
