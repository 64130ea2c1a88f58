package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/engram-stream/engram/internal/fault"
)

// MaxLine bounds one line: a full observation with its vector as decimal text fits.
const MaxLine = 4 << 20

// newLines splits what is read into lines. What comes before an error and is no whole line is none: it would be blamed
// for the error.
func newLines(f io.Reader) *bufio.Scanner {
	in := &failing{in: f}
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 1<<16), MaxLine)
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if atEOF && in.err != nil && bytes.IndexByte(data, '\n') < 0 {
			return 0, nil, in.err
		}
		return bufio.ScanLines(data, atEOF)
	})
	return s
}

// failing remembers the error of a reader, other than its end.
type failing struct {
	in  io.Reader
	err error
}

// Read implements io.Reader.
func (f *failing) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// linesEnded is why there are no more lines: io.EOF, or what is wrong with the next, that of number line.
func linesEnded(s *bufio.Scanner, op, name string, line int) error {
	switch err := s.Err(); {
	case err == nil:
		return io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return fault.New(fault.InvalidArgument, "a line of more than %d bytes", MaxLine).WithOp(op).WithSubject(at(name, line))
	default:
		return fault.Wrap(fault.InvalidArgument, err, "").WithOp(op).WithSubject(at(name, line))
	}
}
