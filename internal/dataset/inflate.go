package dataset

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
)

// errCut is the end of a packed file before its data ends. It is not io.ErrUnexpectedEOF: what was unpacked may end
// anywhere, and that is not where the file is wrong.
var errCut = errors.New("the compressed file is cut off")

// inflate returns the input, unpacked if it begins as gzip does (RFC 1952), as it must when the name says so.
func inflate(name string, f io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(f, 1<<16)
	magic, err := in.Peek(2)
	named := strings.HasSuffix(name, ".gz")
	switch {
	case err == nil && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, packedFault(name, "%v", unpacking(err))
		}
		return &unpacked{z}, nil
	case named && len(magic) == 0:
		return nil, packedFault(name, "it is empty")
	case named:
		return nil, packedFault(name, "not gzip, as its name says (it begins % x)", magic).WithHint("take .gz off its name if it is not packed")
	}
	return in, nil // too short for gzip: the format's own reader says what is wrong
}

func packedFault(name, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp("open input").WithSubject(name)
}

// unpacked is gzip whose errors say that the packed file is at fault.
type unpacked struct{ z *gzip.Reader }

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	return n, unpacking(err)
}

func unpacking(err error) error {
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // gzip returns it as it is, and so must a reader
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	}
	return fmt.Errorf("the compressed file is damaged: %w", err)
}
