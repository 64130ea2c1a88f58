package dataset

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/engram-stream/engram/internal/fault"
)

// The formats of Big ANN Benchmarks (big-ann-benchmarks.com): the number of vectors and that of their components, each a
// little-endian uint32, and then all components, vector after vector: float32, little-endian, in .fbin, unsigned bytes in
// .u8bin.
const binMaxRows = 1 << 31

// NewFbin reads a (gzipped) .fbin file of float32 vectors. name, a path, stands in errors and gives the rows their ids:
// "base-00017" in "data/base.fbin".
func NewFbin(name string, f io.Reader) (Reader, error) {
	return newBin(name, f, table{op: "read fbin", stem: stem(name, ".fbin"), decode: decodeFloat32(binary.LittleEndian)}, 4)
}

// NewU8bin reads a (gzipped) .u8bin file of vectors of unsigned bytes, whose values are the components, as NewFbin does.
func NewU8bin(name string, f io.Reader) (Reader, error) {
	return newBin(name, f, table{op: "read u8bin", stem: stem(name, ".u8bin"), decode: decodeBytes}, 1)
}

// newBin reads the header into a table; width is the bytes of a component.
func newBin(name string, f io.Reader, r table, width int) (Reader, error) {
	in, err := inflate(name, f)
	if err != nil {
		return nil, err
	}
	r.name, r.in = name, in
	var head [8]byte
	if read, err := io.ReadFull(in, head[:]); err != nil {
		return nil, r.fault("%s", headerProblem(read, err))
	}
	rows, dim := binary.LittleEndian.Uint32(head[:4]), binary.LittleEndian.Uint32(head[4:])
	switch {
	case rows > binMaxRows:
		return nil, r.fault("says that it has %d vectors, more than %d: is the file of this format?", rows, binMaxRows)
	case dim < 1 || dim > maxVector:
		return nil, r.fault("says that its vectors have %d components, where 1 to %d can be: is the file of this format?", dim, maxVector)
	}
	r.rows, r.dim, r.entry = int(rows), int(dim), make([]byte, int(dim)*width)
	return &r, nil
}

const (
	ivecsOp = "read ivecs"
	// maxNeighbours bounds how many an answer of a ground truth names.
	maxNeighbours = 1 << 14
)

// ReadIvecs reads a (gzipped) .ivecs file, the ground truth that belongs to vectors: for each query the numbers of its
// nearest, as a little-endian int32 that counts them, and then each as one. Lines may differ in length.
func ReadIvecs(name string, f io.Reader) ([][]uint32, error) {
	in, err := inflate(name, f)
	if err != nil {
		return nil, err
	}
	var all [][]uint32
	var head [4]byte
	for offset := 0; ; {
		switch read, err := io.ReadFull(in, head[:]); {
		case read == 0 && ended(err):
			return all, nil
		case err != nil:
			return nil, ivecsFault(name, len(all), offset, "%s", brokenLine(err))
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n < 1 || n > maxNeighbours {
			return nil, ivecsFault(name, len(all), offset, "says that it has %d numbers, where 1 to %d can be: is the file of this format?", n, maxNeighbours)
		}
		line := make([]byte, 4*n)
		if _, err := io.ReadFull(in, line); err != nil {
			return nil, ivecsFault(name, len(all), offset, "%s", brokenLine(err))
		}
		numbers := make([]uint32, n)
		for i := range numbers {
			if numbers[i] = binary.LittleEndian.Uint32(line[4*i:]); int32(numbers[i]) < 0 {
				return nil, ivecsFault(name, len(all), offset, "number %d is negative", i)
			}
		}
		all = append(all, numbers)
		offset += len(head) + len(line)
	}
}

func brokenLine(err error) string {
	if ended(err) {
		return "is cut off: the file ends within it"
	}
	return err.Error()
}

func ivecsFault(name string, line, offset int, format string, args ...any) error {
	return fault.New(fault.InvalidArgument, "answer %d, from byte %d, %s", line, offset, fmt.Sprintf(format, args...)).
		WithOp(ivecsOp).WithSubject(name)
}
