package vectors

import (
	"context"
	"errors"
	"io"
	"unsafe"

	"github.com/engram-stream/engram/internal/dataset"
	"github.com/engram-stream/engram/internal/fault"
)

// Rows are vectors of one dimension, read-only. Safe for concurrent use.
type Rows struct {
	dimension int
	flat      []float32
	file      *storage // what the rows lie in; parts share it
}

// Len returns how many rows there are.
func (r *Rows) Len() int { return len(r.flat) / r.dimension }

// Dimension returns the number of components of each.
func (r *Rows) Dimension() int { return r.dimension }

// Row returns row i, which must not be changed.
func (r *Rows) Row(i int) []float32 {
	return r.flat[i*r.dimension : (i+1)*r.dimension : (i+1)*r.dimension]
}

// Part returns the rows from one on up to, not including, another, in the same memory.
func (r *Rows) Part(from, to int) *Rows {
	return &Rows{dimension: r.dimension, flat: r.flat[from*r.dimension : to*r.dimension], file: r.file}
}

// Ordered returns a copy of rows, row i of which is row order[i].
func (r *Rows) Ordered(order []int) (*Rows, error) {
	s, err := newStorage()
	if err != nil {
		return nil, err
	}
	for _, i := range order {
		if err := s.append(r.Row(i)); err != nil {
			return nil, err
		}
	}
	return s.rows(r.dimension)
}

// checkEvery is how many rows are read between looks at the context.
const checkEvery = 1 << 10

// Load reads up to limit vectors of a file of a kind that internal/dataset knows; limit 0 reads all.
func Load(ctx context.Context, path string, limit int) (rows *Rows, err error) {
	in, err := dataset.Open(path, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	s, err := newStorage()
	if err != nil {
		return nil, err
	}
	dimension := 0
	for n := 0; limit == 0 || n < limit; n++ {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
			return nil, err
		case len(row.Embedding) == 0:
			return nil, loadFault(path, "row %d has no vector", row.Line).WithHint("only files of vectors can be measured with")
		case dimension == 0:
			dimension = len(row.Embedding)
		case len(row.Embedding) != dimension:
			return nil, loadFault(path, "row %d has %d components, those before it %d", row.Line, len(row.Embedding), dimension)
		}
		if err := s.append(row.Embedding); err != nil {
			return nil, err
		}
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, fault.GaveUp(ctx.Err(), "").WithOp("load vectors").WithSubject(path)
		}
	}
	if dimension == 0 {
		return nil, loadFault(path, "there are no rows in it")
	}
	return s.rows(dimension)
}

func loadFault(path, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp("load vectors").WithSubject(path)
}

// asBytes are the bytes of floats as they lie in memory.
func asBytes(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

func asFloats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}
