package hnsw

import (
	"math"

	"github.com/engram-stream/engram/internal/simd"
	"github.com/engram-stream/engram/stages/index/quant"
)

// Measure is what nodes are compared by.
type Measure uint8

// The measures. By Inner, the nearest is that of the largest inner product; nodes are linked by their distances as they would
// be with one more component that makes all of them equally long, by which the nearest to any query of length 1 are the
// same ones (Bachrach et al., RecSys 2014).
const (
	Distance Measure = iota + 1 // Euclidean
	Inner
)

// scorer compares a probe with nodes, in squared units of the frame; by Inner, a query with the negated product of its direction.
// One goroutine's.
type scorer struct {
	st      *storage
	perUnit float64
	inner   bool // the probe is a query by inner product
	lifted  bool // nodes have one more component, in which the probe has lift
	lift    float32
	probe   *quant.Probe

	sums     []uint32
	products []int32
}

// ready makes room to compare n nodes at once.
func (s *scorer) ready(n int) {
	if len(s.sums) < n {
		s.sums, s.products = make([]uint32, n), make([]int32, n)
	}
}

// estimates writes how far nodes are by their 1-bit codes, or by their int8 codes where those do not tell or are as short.
func (s *scorer) estimates(out []float32, nodes []uint32) {
	if s.st.fine || !s.probe.Estimated {
		s.exact(out, nodes)
		return
	}
	s.ready(len(nodes))
	sums := s.sums[:len(nodes)]
	simd.DotBits4Many(sums, s.probe.Planes, s.st.records, s.st.stride, nodes)
	e := s.probe.Estimate
	out = out[:len(sums)]
	for i, sum := range sums {
		b := s.st.besideOf(Node(nodes[i])) //nolint:gosec // sums are as many as nodes
		if b.norm < 0 {                    // there is no estimate
			s.exactly(out[i:i+1], nodes[i:i+1])
			continue
		}
		d := b.factor * (e.PerSum*float32(int32(sum)) + e.PerOne*b.ones + e.Constant)
		if !s.inner {
			d += e.Norm + b.norm
		}
		if s.lifted {
			d += (s.lift - b.lift) * (s.lift - b.lift)
		}
		out[i] = d //nolint:gosec // as above
	}
}

// exactly writes how far nodes are by their int8 codes, on the scale of estimates, which by Inner is another.
func (s *scorer) exactly(out []float32, nodes []uint32) {
	s.exact(out, nodes)
	if s.inner && !s.st.fine && s.probe.Estimated {
		for i, d := range out {
			out[i] = 2 * (d + s.probe.Central)
		}
	}
}

// exact writes how far nodes are by their int8 codes.
func (s *scorer) exact(out []float32, nodes []uint32) {
	s.compare(out, nodes, s.probe.Code, s.probe.Int8, s.lift)
}

// between writes how far nodes are from a node by their int8 codes.
func (s *scorer) between(out []float32, n Node, nodes []uint32) {
	s.compare(out, nodes, s.st.code(n), s.st.factors(n), s.st.besideOf(n).lift)
}

func (s *scorer) compare(out []float32, nodes []uint32, code []int8, f quant.Int8, lift float32) {
	s.ready(len(nodes))
	products := s.products[:len(nodes)]
	simd.DotInt8Many(products, code, s.st.codes, s.st.padded, nodes)
	scale := float64(f.Scale) * s.perUnit
	norm := scale * scale * float64(f.Squared)
	for i, product := range products {
		b := s.st.besideOf(Node(nodes[i]))
		other := float64(b.scale) * s.perUnit
		if s.inner {
			out[i] = float32(-other * float64(product) * s.direction())
			continue
		}
		d := norm + other*(other*float64(b.squared)-2*scale*float64(product))
		if s.lifted {
			d += float64(lift-b.lift) * float64(lift-b.lift)
		}
		out[i] = float32(min(max(d, 0), math.MaxFloat32))
	}
}

// direction is what makes the probe's code one of length 1.
func (s *scorer) direction() float64 {
	if s.probe.Squared == 0 {
		return 0
	}
	return 1 / math.Sqrt(float64(s.probe.Squared))
}

// roughly writes how far nodes are from a node by their 1-bit codes: what the angle between what they differ by from the centroid
// is expected to be; by int8 codes where there is no estimate.
func (s *scorer) roughly(out []float32, n Node, nodes []uint32) {
	own := s.st.besideOf(n)
	if s.st.fine || own.norm < 0 {
		s.between(out, n, nodes)
		return
	}
	s.ready(len(nodes))
	sums := s.sums[:len(nodes)]
	simd.HammingMany(sums, s.st.bits(n), s.st.records, s.st.stride, nodes)
	for i, differing := range sums {
		b := s.st.besideOf(Node(nodes[i]))
		if b.norm < 0 {
			s.between(out[i:i+1], n, nodes[i:i+1])
			continue
		}
		d := own.norm + b.norm - 2*float32(math.Sqrt(float64(own.norm)*float64(b.norm)))*s.st.cosines[differing] // of equal ones 0
		if s.lifted {
			d += (own.lift - b.lift) * (own.lift - b.lift)
		}
		out[i] = d
	}
}
