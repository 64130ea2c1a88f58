package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrDamaged says that bytes are not those that were written.
var ErrDamaged = errors.New("damaged")

const (
	// frameBytes are checked together, at most; a reader holds so many.
	frameBytes = 256 << 10
	frameHead  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CheckedWriter writes bytes in frames with checksums, little-endian:
//
//	frame: | length u32 | CRC u32 | bytes |
//
// The CRC is CRC32C of the frame's number, from 0, as a u64, and of its length and bytes: so no frame is taken for another, and
// none is missed. A frame of length 0 ends them.
type CheckedWriter struct {
	to     io.Writer
	frame  []byte // a head's room, and bytes
	number uint64
}

// NewCheckedWriter returns a writer of frames to another writer.
func NewCheckedWriter(to io.Writer) *CheckedWriter {
	return &CheckedWriter{to: to, frame: make([]byte, frameHead, frameHead+frameBytes)}
}

// Write implements io.Writer. An error is the writer's below.
func (w *CheckedWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(len(p), n+cap(w.frame)-len(w.frame))]
		w.frame = append(w.frame, part...)
		n += len(part)
		if len(w.frame) == cap(w.frame) {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Close writes what is left, and the frame that ends all. It does not close the writer below.
func (w *CheckedWriter) Close() error {
	if len(w.frame) > frameHead {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.flush()
}

func (w *CheckedWriter) flush() error {
	binary.LittleEndian.PutUint32(w.frame, uint32(len(w.frame)-frameHead))
	binary.LittleEndian.PutUint32(w.frame[4:], frameCRC(w.number, w.frame))
	_, err := w.to.Write(w.frame)
	w.frame = w.frame[:frameHead]
	w.number++
	return err
}

func frameCRC(number uint64, frame []byte) uint32 {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	crc := crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, frame[:4])
	return crc32.Update(crc, castagnoli, frame[frameHead:])
}

// CheckedReader reads what a CheckedWriter has written. It gives out bytes whose checksum is right, and no others.
type CheckedReader struct {
	from   io.Reader
	frame  []byte
	rest   []byte // of the frame, not read yet
	number uint64
	offset int64 // of the next frame
	ended  bool
}

// NewCheckedReader returns a reader of frames that another reader gives.
func NewCheckedReader(from io.Reader) *CheckedReader { return &CheckedReader{from: from} }

// Read implements io.Reader. An error is ErrDamaged with the offset of the frame, or the reader's below; io.EOF comes after the
// frame that ends all, if nothing follows it.
func (r *CheckedReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *CheckedReader) next() error {
	r.frame = append(r.frame[:0], make([]byte, frameHead)...)
	if _, err := io.ReadFull(r.from, r.frame); err != nil {
		return r.damage(err, "it ends early")
	}
	length := int(binary.LittleEndian.Uint32(r.frame))
	if length > frameBytes {
		return r.damage(nil, fmt.Sprintf("a frame of %d bytes", length))
	}
	r.frame = append(r.frame, make([]byte, length)...)
	if _, err := io.ReadFull(r.from, r.frame[frameHead:]); err != nil {
		return r.damage(err, "it ends early")
	}
	if binary.LittleEndian.Uint32(r.frame[4:]) != frameCRC(r.number, r.frame) {
		return r.damage(nil, "the checksum does not match")
	}
	r.rest = r.frame[frameHead:]
	r.number++
	r.offset += int64(len(r.frame))
	if length > 0 {
		return nil
	}
	r.ended = true
	if n, err := io.ReadFull(r.from, r.frame[:1]); n != 0 || !errors.Is(err, io.EOF) {
		return r.damage(err, "something follows its end")
	}
	return nil
}

func (r *CheckedReader) damage(err error, what string) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("%w at byte %d: %s", ErrDamaged, r.offset, what)
}
