package dataset

import (
	"encoding/binary"
	"io"

	"github.com/engram-stream/engram/internal/fault"
)

// The IDX format (yann.lecun.com/exdb/mnist): two zero bytes, a type byte, the number of dimensions, then each
// dimension as a big-endian uint32, then the values.
const (
	idxUint8   = 0x08
	idxMaxRows = 1 << 31
)

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
		if size > maxVector {
			return nil, idxFault(name, "%v components an entry are more than %d", dims[1:], maxVector)
		}
	}
	if size == 0 {
		return nil, idxFault(name, "entries of no components")
	}
	return &table{
		op: idxOp, name: name, stem: stem(name, "idx3-ubyte", ".idx"), in: in,
		rows: dims[0], dim: size, entry: make([]byte, size), decode: decodeBytes,
	}, nil
}

func decodeBytes(to []float32, entry []byte) error {
	for i, b := range entry {
		to[i] = float32(b)
	}
	return nil
}

const idxOp = "read IDX"

func idxFault(name, format string, args ...any) error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp(idxOp).WithSubject(name)
}

func idxHeader(name string, in io.Reader) ([]int, error) {
	var head [4]byte
	if read, err := io.ReadFull(in, head[:]); err != nil {
		return nil, idxFault(name, "%s", headerProblem(read, err))
	}
	if head[0] != 0 || head[1] != 0 || head[2] != idxUint8 || head[3] == 0 || head[3] > 4 {
		return nil, idxFault(name, "not an IDX file of unsigned bytes (it begins % x)", head)
	}
	dims := make([]int, head[3])
	for i := range dims {
		var b [4]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return nil, idxFault(name, "%s", headerProblem(len(head), err))
		}
		n := binary.BigEndian.Uint32(b[:])
		if n > idxMaxRows {
			return nil, idxFault(name, "dimension %d is %d, more than %d", i, n, idxMaxRows)
		}
		dims[i] = int(n)
	}
	return dims, nil
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
	if err != nil {
		return nil, idxFault(name, "after %d of %d labels: %v", len(labels), dims[0], err)
	}
	if len(labels) != dims[0] {
		return nil, idxFault(name, "ends after %d of %d labels", len(labels), dims[0])
	}
	return labels, nil
}
