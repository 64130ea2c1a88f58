package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/engram-stream/engram/internal/fault"
)

// The formats of the TEXMEX corpus (corpus-texmex.irisa.fr): each vector is its number of components as a little-endian
// int32, and then those: float32, little-endian, in .fvecs, unsigned bytes in .bvecs.
type vecs struct {
	op, name, stem string
	in             io.Reader
	width          int // bytes of a component
	decode         func(to []float32, entry []byte) error

	next   int
	dim    int   // of the first vector, and so of all; 0: not read yet
	offset int64 // of the unpacked file, where the next vector begins
	entry  []byte
}

// NewFvecs reads a (gzipped) .fvecs file of float32 vectors. name, a path, stands in errors and gives the rows their ids:
// "base-00017" in "data/base.fvecs".
func NewFvecs(name string, f io.Reader) (Reader, error) {
	return newVecs(name, f, vecs{op: "read fvecs", stem: stem(name, ".fvecs"), width: 4, decode: decodeFloat32(binary.LittleEndian)})
}

// NewBvecs reads a (gzipped) .bvecs file of vectors of unsigned bytes, whose values are the components, as NewFvecs does.
func NewBvecs(name string, f io.Reader) (Reader, error) {
	return newVecs(name, f, vecs{op: "read bvecs", stem: stem(name, ".bvecs"), width: 1, decode: decodeBytes})
}

func newVecs(name string, f io.Reader, r vecs) (Reader, error) {
	in, err := inflate(name, f)
	if err != nil {
		return nil, err
	}
	r.name, r.in = name, in
	return &r, nil
}

func (r *vecs) Total() int { return -1 }

func (r *vecs) Next() (Row, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); errors.Is(err, io.EOF) {
		return Row{}, io.EOF
	} else if err != nil {
		return Row{}, r.broken(err)
	}
	dim := int(int32(binary.LittleEndian.Uint32(head[:])))
	switch {
	case dim < 1 || dim > maxVector:
		return Row{}, r.fault("says that it has %d components, where 1 to %d can be: is the file of this format?", dim, maxVector)
	case r.dim == 0:
		r.dim, r.entry = dim, make([]byte, dim*r.width)
	case dim != r.dim:
		return Row{}, r.fault("has %d components, those before it %d", dim, r.dim)
	}
	if _, err := io.ReadFull(r.in, r.entry); err != nil {
		return Row{}, r.broken(err)
	}
	row := Row{Line: r.next + 1, ID: rowID(r.stem, r.next), Embedding: make([]float32, r.dim)}
	if err := r.decode(row.Embedding, r.entry); err != nil {
		return Row{}, r.fault("%v", err)
	}
	r.next++
	r.offset += int64(len(head) + len(r.entry))
	return row, nil
}

func (r *vecs) broken(err error) error {
	if ended(err) {
		return r.fault("is cut off: the file ends within it")
	}
	return fault.New(fault.InvalidArgument, "after %d vectors: %v", r.next, err).WithOp(r.op).WithSubject(r.name)
}

func (r *vecs) fault(format string, args ...any) error {
	return fault.New(fault.InvalidArgument, "vector %d, from byte %d, %s", r.next, r.offset, fmt.Sprintf(format, args...)).
		WithOp(r.op).WithSubject(r.name)
}

// decodeFloat32 decodes 4 bytes a component.
func decodeFloat32(order binary.ByteOrder) func(to []float32, entry []byte) error {
	return func(to []float32, entry []byte) error {
		for i := range to {
			to[i] = math.Float32frombits(order.Uint32(entry[4*i:]))
		}
		return nil
	}
}
