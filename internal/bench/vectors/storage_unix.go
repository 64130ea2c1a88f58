//go:build unix

package vectors

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// storage is a temporary file that rows are written to, and then mapped from. It has lost its name, so that nothing is left
// of it, whatever becomes of the process.
type storage struct {
	file  *os.File
	out   *bufio.Writer
	bytes int
}

func newStorage() (*storage, error) {
	f, err := os.CreateTemp("", "engram-bench-vectors-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file for the vectors: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &storage{file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

func (s *storage) append(row []float32) error {
	n, err := s.out.Write(asBytes(row))
	s.bytes += n
	return full(err)
}

// rows maps what was appended; nothing more may be.
func (s *storage) rows(dimension int) (*Rows, error) {
	if err := s.out.Flush(); err != nil {
		return nil, full(err)
	}
	flat, err := s.mapped()
	if err != nil {
		return nil, err
	}
	return &Rows{dimension: dimension, flat: flat, file: s}, nil
}

// room maps so many floats, all zero, which may be written.
func (s *storage) room(floats int) ([]float32, error) {
	s.bytes = 4 * floats
	if err := s.file.Truncate(int64(s.bytes)); err != nil {
		return nil, full(err)
	}
	return s.mapped()
}

func (s *storage) mapped() ([]float32, error) {
	if s.bytes == 0 {
		return nil, s.file.Close()
	}
	b, err := unix.Mmap(int(s.file.Fd()), 0, s.bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err := errors.Join(err, s.file.Close()); err != nil { // a mapping outlives its descriptor
		return nil, fmt.Errorf("map the vectors: %w", err)
	}
	runtime.AddCleanup(s, func(b []byte) { _ = unix.Munmap(b) }, b)
	return asFloats(b), nil
}

func full(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write the vectors to a temporary file (TMPDIR says where): %w", err)
}
