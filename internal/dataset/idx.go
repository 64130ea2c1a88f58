package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
)

// The IDX format (yann.lecun.com/exdb/mnist): two zero bytes, a type byte, the number of dimensions, then each
// dimension as a big-endian uint32, then the values.
const (
	idxUint8     = 0x08
	idxMaxRows   = 1 << 31
	idxMaxVector = 4096
)

// The ids of entries: the name of the file without what says its format, and the number from 0 in at least five digits,
// such as "t10k-images-00017". Observing a file again replaces what it stored. maxStem keeps them within the 128 bytes
// that an id may have.
const maxStem = 100

type idx struct {
	name string
	stem string
	in   io.Reader
	rows int
	dim  int
	next int
	buf  []byte
}

// NewIDX reads a (gzipped) IDX file of unsigned bytes; each entry of the first dimension becomes one row with the
// values 0..255 as components. name, a path, stands in errors and gives the rows their ids: "t10k-images-00017" in
// "data/t10k-images-idx3-ubyte.gz".
func NewIDX(name string, f io.Reader) (Reader, error) {
	in, err := inflate(name, f)
	if err != nil {
		return nil, err
	}
	dims, err := idxHeader(name, in)
	if err != nil {
		return nil, err
	}
	size := 1
	for _, d := range dims[1:] {
		size *= d
		if size > idxMaxVector {
			return nil, idxFault(name, "%v components an entry are more than %d", dims[1:], idxMaxVector)
		}
	}
	if size == 0 {
		return nil, idxFault(name, "entries of no components")
	}
	return &idx{name: name, stem: stem(name), in: in, rows: dims[0], dim: size, buf: make([]byte, size)}, nil
}

func stem(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "idx3-ubyte"), ".idx")
	name = strings.TrimRight(strings.ToValidUTF8(name, ""), "-._")
	if name == "" {
		return "idx"
	}
	return strings.ToValidUTF8(name[:min(len(name), maxStem)], "")
}

func idxFault(name, format string, args ...any) error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp("read IDX").WithSubject(name)
}

func idxHeader(name string, in io.Reader) ([]int, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, idxFault(name, "shorter than an IDX header")
	}
	if head[0] != 0 || head[1] != 0 || head[2] != idxUint8 || head[3] == 0 || head[3] > 4 {
		return nil, idxFault(name, "not an IDX file of unsigned bytes (it begins % x)", head)
	}
	dims := make([]int, head[3])
	for i := range dims {
		var b [4]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return nil, idxFault(name, "ends within its header")
		}
		n := binary.BigEndian.Uint32(b[:])
		if n > idxMaxRows {
			return nil, idxFault(name, "dimension %d is %d, more than %d", i, n, idxMaxRows)
		}
		dims[i] = int(n)
	}
	return dims, nil
}

func (r *idx) Total() int { return r.rows }

func (r *idx) Next() (Row, error) {
	if r.next == r.rows {
		return Row{}, io.EOF
	}
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Row{}, idxFault(r.name, "ends after %d of %d entries", r.next, r.rows)
		}
		return Row{}, idxFault(r.name, "entry %d: %v", r.next, err)
	}
	row := Row{Line: r.next + 1, ID: fmt.Sprintf("%s-%05d", r.stem, r.next), Embedding: make([]float32, r.dim)}
	r.next++
	for i, b := range r.buf {
		row.Embedding[i] = float32(b)
	}
	return row, nil
}

// ReadLabels reads a (gzipped) IDX file with one unsigned byte an entry.
func ReadLabels(name string, f io.Reader) ([]byte, error) {
	in, err := inflate(name, f)
	if err != nil {
		return nil, err
	}
	dims, err := idxHeader(name, in)
	if err != nil {
		return nil, err
	}
	if len(dims) != 1 {
		return nil, idxFault(name, "%d dimensions where labels have one", len(dims))
	}
	labels, err := io.ReadAll(io.LimitReader(in, int64(dims[0])))
	if err != nil || len(labels) != dims[0] {
		return nil, idxFault(name, "ends after %d of %d labels", len(labels), dims[0])
	}
	return labels, nil
}
