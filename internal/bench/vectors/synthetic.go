package vectors

import (
	"math"
	"math/rand/v2"
)

// The distribution of Synthetic.
const (
	clusters   = 1000
	directions = 128 // that clusters spread in, chosen of by each
	intrinsic  = 32  // how many each cluster spreads in
	spread     = 0.7 // of a cluster, as a length
	noise      = 0.2 // in all directions, as a length
)

// Synthetic makes vectors of length 1 around 1,000 centers, each of which they spread from in 32 directions of its own, with a
// little noise in all: as embeddings of text lie, and with the intrinsic dimension that they have. The same seed, dimension and
// number of a row give the same row, on any number of cores.
func Synthetic(dimension, count int, seed uint64) (*Rows, error) {
	s, err := newStorage()
	if err != nil {
		return nil, err
	}
	flat, err := s.room(dimension * count)
	if err != nil {
		return nil, err
	}
	rows := &Rows{dimension: dimension, flat: flat, file: s}
	shape := newShape(dimension, seed)
	each(count, func(i int) { shape.fill(rows.Row(i), uint64(i)) })
	return rows, nil
}

// shape is where clusters lie, and how they spread.
type shape struct {
	seed    uint64
	centers [][]float32
	basis   [][]float32
	chosen  [][]int     // of the basis, by cluster
	widths  [][]float32 // in each of those
}

func newShape(dimension int, seed uint64) *shape {
	r := rand.New(rand.NewPCG(7+seed, 8)) //nolint:gosec // rows of a seed, not secrets
	s := &shape{seed: seed, centers: units(r, clusters, dimension), basis: units(r, directions, dimension)}
	for range clusters {
		s.chosen = append(s.chosen, r.Perm(directions)[:intrinsic])
		widths := make([]float32, intrinsic)
		for i := range widths {
			widths[i] = float32(spread / math.Sqrt(intrinsic) * (0.5 + r.Float64()))
		}
		s.widths = append(s.widths, widths)
	}
	return s
}

func units(r *rand.Rand, n, dimension int) [][]float32 {
	all := make([][]float32, n)
	for i := range all {
		all[i] = make([]float32, dimension)
		for j := range all[i] {
			all[i][j] = float32(r.NormFloat64())
		}
		normalize(all[i])
	}
	return all
}

func (s *shape) fill(row []float32, i uint64) {
	r := rand.New(rand.NewPCG(i, 99+s.seed)) //nolint:gosec // rows of a seed, not secrets
	c := r.IntN(clusters)
	copy(row, s.centers[c])
	for k, direction := range s.chosen[c] {
		z := float32(r.NormFloat64()) * s.widths[c][k]
		for j, b := range s.basis[direction] {
			row[j] += z * b
		}
	}
	width := noise / math.Sqrt(float64(len(row)))
	for j := range row {
		row[j] += float32(r.NormFloat64() * width)
	}
	normalize(row)
}

func normalize(v []float32) {
	norm := length(v)
	if norm == 0 {
		v[0] = 1
		return
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / norm)
	}
}
