package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
)

// The NPY format (numpy.org/doc/stable/reference/generated/numpy.lib.format.html): the magic, two bytes of version, the
// length of the header as a little-endian uint16, from version 2.0 on uint32, and the header: a Python literal such as
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (1000, 768), }
//
// with spaces and a line break behind it. The values follow, row by row unless fortran_order is True.
const (
	npyMagic = "\x93NUMPY"
	npyOp    = "read NPY"

	// npyMaxHeader bounds the header: that of an array of numbers has some 118 bytes, and NumPy itself takes 10,000.
	npyMaxHeader = 10_000
	npyMaxRows   = 1 << 31
)

// NewNPY reads a (gzipped) .npy file, versions 1.0 to 3.0, of a two-dimensional array in C order: each row becomes one row.
// Its numbers are float16, float32 or float64 of either byte order; a float64 beyond the range of float32 is an error.
// name, a path, stands in errors and gives the rows their ids: "faces-00017" in "data/faces.npy".
func NewNPY(name string, f io.Reader) (Reader, error) {
	in, err := inflate(name, f)
	if err != nil {
		return nil, err
	}
	text, err := npyHeader(name, in)
	if err != nil {
		return nil, err
	}
	rows, dim, err := npyShape(name, text)
	if err != nil {
		return nil, err
	}
	kind, err := npyField(name, text, npyDescr, "descr")
	if err != nil {
		return nil, err
	}
	width, decode := npyDecoder(kind)
	if decode == nil {
		return nil, npyFault(name, "its numbers are %q", kind).
			WithHint("known are float16, float32 and float64 (<f2, <f4, <f8, or with > for big-endian); convert it: a.astype('<f4')")
	}
	return &table{
		op: npyOp, name: name, stem: stem(name, ".npy"), in: in,
		rows: rows, dim: dim, entry: make([]byte, dim*width), decode: decode,
	}, nil
}

func npyFault(name, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp(npyOp).WithSubject(name)
}

// npyHeader reads up to the values and returns the literal.
func npyHeader(name string, in io.Reader) (string, error) {
	var head [len(npyMagic) + 2]byte
	read, err := io.ReadFull(in, head[:])
	switch magic := head[:min(read, len(npyMagic))]; {
	case !strings.HasPrefix(npyMagic, string(magic)):
		return "", npyFault(name, "not a .npy file (it begins % x)", magic)
	case err != nil:
		return "", npyFault(name, "%s", headerProblem(read, err))
	}
	major, minor := head[len(npyMagic)], head[len(npyMagic)+1]
	if major < 1 || major > 3 || minor != 0 {
		return "", npyFault(name, "of version %d.%d, where 1.0, 2.0 and 3.0 are known", major, minor)
	}
	var length [4]byte
	size := len(length)
	if major == 1 {
		size = 2
	}
	if _, err := io.ReadFull(in, length[:size]); err != nil {
		return "", npyFault(name, "%s", headerProblem(len(head), err))
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > npyMaxHeader {
		return "", npyFault(name, "its header has %d bytes, more than %d", n, npyMaxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(in, text); err != nil {
		return "", npyFault(name, "%s", headerProblem(len(head), err))
	}
	return string(text), nil
}

// The entries of the header. NumPy writes them sorted and quoted so, and readers take any order.
var (
	npyDescr = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([^'"]*)['"]`)
	npyOrder = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	npySizes = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9L,\s]*)\)`)
)

func npyField(name, text string, pattern *regexp.Regexp, key string) (string, error) {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return "", npyFault(name, "its header has no %s that can be read: %s", key, strconv.Quote(text[:min(len(text), 200)])).
			WithHint("an array of plain numbers is needed, not of records or objects")
	}
	return m[1], nil
}

// npyShape returns how many rows there are, and the components of each.
func npyShape(name, text string) (rows, dim int, err error) {
	order, err := npyField(name, text, npyOrder, "fortran_order")
	if err != nil {
		return 0, 0, err
	}
	shape, err := npyField(name, text, npySizes, "shape")
	if err != nil {
		return 0, 0, err
	}
	var sizes []uint64
	for size := range strings.SplitSeq(shape, ",") {
		if size = strings.TrimSuffix(strings.TrimSpace(size), "L"); size == "" { // after the comma of (3,); 3L is Python 2's
			continue
		}
		n, err := strconv.ParseUint(size, 10, 64)
		if err != nil {
			return 0, 0, npyFault(name, "its shape (%s) cannot be read", shape)
		}
		sizes = append(sizes, n)
	}
	switch {
	case len(sizes) != 2:
		return 0, 0, npyFault(name, "an array of %d dimensions, shape (%s)", len(sizes), shape).
			WithHint("two are needed, rows and components: a.reshape(len(a), -1), or a.reshape(1, -1) for one vector")
	case order == "True":
		return 0, 0, npyFault(name, "in Fortran order: column by column").WithHint("write it by rows: numpy.ascontiguousarray(a)")
	case sizes[0] > npyMaxRows:
		return 0, 0, npyFault(name, "%d rows are more than %d", sizes[0], npyMaxRows)
	case sizes[1] < 1 || sizes[1] > maxVector:
		return 0, 0, npyFault(name, "rows of %d components, where 1 to %d can be", sizes[1], maxVector)
	}
	return int(sizes[0]), int(sizes[1]), nil
}

// npyDecoder returns the bytes of a number, and what decodes a row of them; nil for a kind that is not known.
func npyDecoder(kind string) (width int, decode func(to []float32, entry []byte) error) {
	if kind == "" {
		return 0, nil
	}
	var order binary.ByteOrder
	switch kind[0] {
	case '<':
		order = binary.LittleEndian
	case '>':
		order = binary.BigEndian
	default:
		return 0, nil
	}
	switch kind[1:] {
	case "f2":
		return 2, decodeFloat16(order)
	case "f4":
		return 4, decodeFloat32(order)
	case "f8":
		return 8, decodeFloat64(order)
	}
	return 0, nil
}

func decodeFloat64(order binary.ByteOrder) func(to []float32, entry []byte) error {
	return func(to []float32, entry []byte) error {
		for i := range to {
			x := math.Float64frombits(order.Uint64(entry[8*i:]))
			to[i] = float32(x)
			if math.IsInf(float64(to[i]), 0) && !math.IsInf(x, 0) {
				return fmt.Errorf("component %d: %v does not fit a float32", i, x)
			}
		}
		return nil
	}
}

func decodeFloat16(order binary.ByteOrder) func(to []float32, entry []byte) error {
	return func(to []float32, entry []byte) error {
		for i := range to {
			to[i] = float16(order.Uint16(entry[2*i:]))
		}
		return nil
	}
}

// float16 widens IEEE 754's binary16: a sign, 5 bits of exponent with bias 15, 10 of fraction.
func float16(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, uint32(bits>>10)&0x1f, uint32(bits)&0x3ff
	switch exponent {
	case 0: // zero, or a subnormal: fraction * 2^-24, which float32 holds exactly
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1f: // infinite, or no number
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
	}
}
