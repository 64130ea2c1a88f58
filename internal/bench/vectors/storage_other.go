//go:build !unix

package vectors

// storage keeps rows on the heap, where files are not mapped.
type storage struct{ flat []float32 }

func newStorage() (*storage, error) { return &storage{}, nil }

func (s *storage) append(row []float32) error {
	s.flat = append(s.flat, row...)
	return nil
}

func (s *storage) rows(dimension int) (*Rows, error) {
	return &Rows{dimension: dimension, flat: s.flat, file: s}, nil
}

func (s *storage) room(floats int) ([]float32, error) {
	s.flat = make([]float32, floats)
	return s.flat, nil
}
