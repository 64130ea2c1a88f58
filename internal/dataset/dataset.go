// Package dataset reads files as rows to observe: JSONL, lines of text, NumPy's .npy, the .fvecs, .bvecs, .fbin and .u8bin
// of ANN benchmarks, and the IDX format of MNIST, gzipped or not.
//
// Each reader streams, says how many rows are to come when the format tells, and names file and line (or row) in
// every error. Open picks the reader by the file's name.
package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// Row is one observation to be: an embedding with what belongs to it, or a content without one. Metadata values are string, int64, float64 or
// bool. A zero ObservedAt and a nil Confidence were not given.
type Row struct {
	Line       int // of its input, or the entry's number, from 1
	ID         string
	Content    string
	Metadata   map[string]any
	Embedding  []float32
	ObservedAt time.Time
	Confidence *float32
}

// Reader yields rows until io.EOF. Not safe for concurrent use.
type Reader interface {
	Next() (Row, error)
	// Total returns the number of rows of the whole input, or -1 when only reading tells.
	Total() int
}

// Stdin is the path that names standard input, read as JSONL.
const Stdin = "-"

// Input is an opened file, or standard input, and how far it was read.
type Input struct {
	Reader

	file io.Closer // nil for standard input, which is not ours to close
	raw  *counter
	size int64
}

// Lines are the lines of a stream, as NewText reads them without ids.
func Lines(name string, in io.Reader) *Input {
	return &Input{Reader: NewText(name, "", in), raw: &counter{}}
}

// One is a single row.
func One(row Row) *Input {
	row.Line = 1
	return &Input{Reader: &one{row: row}, raw: &counter{}}
}

// one is a Reader of one row.
type one struct {
	row  Row
	read bool
}

// Total implements Reader.
func (*one) Total() int { return 1 }

// Next implements Reader.
func (o *one) Next() (Row, error) {
	if o.read {
		return Row{}, io.EOF
	}
	o.read = true
	return o.row, nil
}

// Open opens a file by its name: .jsonl or .ndjson, .txt, .npy, .fvecs, .bvecs, .fbin, .u8bin, or IDX images (idx3-ubyte,
// .idx), each also gzipped.
// "-" is stdin as JSONL. Close ends the file.
func Open(path string, stdin io.Reader) (*Input, error) {
	if path == Stdin {
		return &Input{Reader: NewJSONL("stdin", stdin), raw: &counter{}}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, openFault(path, err)
	}
	in := &Input{file: f, raw: &counter{in: f}}
	if err := in.begin(path, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return in, nil
}

// begin picks the reader and has it read the first row of what is no pipe, so that a file of another kind is refused here.
func (i *Input) begin(path string, f *os.File) error {
	stat, err := f.Stat()
	switch {
	case err != nil:
		return openFault(path, err)
	case stat.IsDir():
		return fault.New(fault.InvalidArgument, "a folder, where a file is needed").WithOp("open input").WithSubject(path)
	}
	if i.Reader, err = open(path, i.raw); err != nil || !stat.Mode().IsRegular() {
		return err
	}
	i.size = stat.Size()
	i.Reader, err = begun(i.Reader)
	return err
}

// Size returns the bytes of the file as it lies on disk; 0 when only reading tells.
func (i *Input) Size() int64 { return i.size }

// Consumed returns how many of those bytes were read for the rows so far. It runs ahead of them by the buffers of the
// reader, some 64 KiB.
func (i *Input) Consumed() int64 { return i.raw.n }

// Close implements io.Closer.
func (i *Input) Close() error {
	if i.file == nil {
		return nil
	}
	return i.file.Close()
}

// counter counts what is read through it: below the unpacking of gzip, so that it compares with the file's size.
type counter struct {
	in io.Reader
	n  int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

func openFault(path string, err error) error {
	cause := err
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		cause = pe.Err
	}
	f := fault.Wrap(fault.InvalidArgument, cause, "cannot be read").WithOp("open input").WithSubject(path)
	if errors.Is(err, os.ErrNotExist) {
		f.Kind = fault.NotFound
		f.Message = "no such file"
		f.Cause = nil
		_ = f.WithHint("check the path; \"-\" reads JSONL from standard input")
	}
	return f
}

func open(path string, f io.Reader) (Reader, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	switch {
	case strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".ndjson"):
		in, err := inflate(path, f)
		if err != nil {
			return nil, err
		}
		return NewJSONL(path, in), nil
	case strings.HasSuffix(name, ".txt"):
		in, err := inflate(path, f)
		if err != nil {
			return nil, err
		}
		return NewText(path, strings.TrimSuffix(name, ".txt"), in), nil
	case strings.HasSuffix(name, "idx3-ubyte"), strings.HasSuffix(name, ".idx"):
		return NewIDX(path, f)
	case strings.HasSuffix(name, ".npy"):
		return NewNPY(path, f)
	case strings.HasSuffix(name, ".fvecs"):
		return NewFvecs(path, f)
	case strings.HasSuffix(name, ".bvecs"):
		return NewBvecs(path, f)
	case strings.HasSuffix(name, ".fbin"):
		return NewFbin(path, f)
	case strings.HasSuffix(name, ".u8bin"):
		return NewU8bin(path, f)
	}
	return nil, fault.New(fault.InvalidArgument, "unknown kind of file").WithOp("open input").WithSubject(path).
		WithHint("known are .jsonl, .ndjson, .txt, .npy, .fvecs, .bvecs, .fbin, .u8bin and idx3-ubyte, each also with .gz")
}

// maxReserve bounds what a header's claim alone can make us allocate.
const maxReserve = 1 << 16

// ReadAll reads the rest of r.
func ReadAll(r Reader) ([]Row, error) {
	rows := make([]Row, 0, min(max(r.Total(), 0), maxReserve))
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
}

func at(name string, line int) string { return fmt.Sprintf("%s:%d", name, line) }
