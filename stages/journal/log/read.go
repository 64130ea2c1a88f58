package log

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/engram-stream/engram/internal/fault"
)

// Read appends the bytes of a durable item to dst. Its checksum is checked. A fault.NotFound says that the log has no
// such durable item, a fault.Corrupt that its bytes are damaged; both name the place. Two small reads, no lock shared
// with the committer.
func (l *Log) Read(o Ordinal, dst []byte) ([]byte, error) {
	if err := l.beginRead("read journal"); err != nil {
		return dst, err
	}
	defer l.readers.Done()
	v := l.view.Load()
	e, index, ok := v.find(o)
	if !ok {
		return dst, fault.New(fault.NotFound, "no durable item has ordinal %d; the last is %d", o, v.ordinal).WithOp("read journal")
	}
	return readItem(v.segments[e.segment], e, index, o, dst)
}

func readItem(s *segment, e entry, index int, o Ordinal, dst []byte) ([]byte, error) {
	var raw [tableEntry]byte
	at := int64(e.offset)
	slot := at + recordHead + int64(index)*tableEntry
	if err := readFull(s, raw[:], slot); err != nil {
		return dst, err
	}
	t := decodeTableEntry(raw[:])
	if t.length > MaxRecordBytes || at+int64(t.offset)+int64(t.length) > s.end.Load() {
		return dst, corrupt(s.path, slot, fmt.Sprintf("table entry of the item with ordinal %d points out of the segment", o))
	}
	start := len(dst)
	dst = append(dst, make([]byte, t.length)...)
	if err := readFull(s, dst[start:], at+int64(t.offset)); err != nil {
		return dst[:start], err
	}
	if crc32.Checksum(dst[start:], castagnoli) != t.crc {
		return dst[:start], corrupt(s.path, at+int64(t.offset), fmt.Sprintf("item with ordinal %d fails its checksum", o))
	}
	return dst, nil
}

func readFull(s *segment, b []byte, at int64) error {
	n, err := s.file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return corrupt(s.path, at, fmt.Sprintf("the file ends within the %d bytes that should be here", len(b)))
	}
	return storageError("read journal segment", s.path, err)
}

// Replay calls fn for each record that is durable when it is called, in order, checking every byte. It ends with fn's
// error, the context's, or a fault.Corrupt. Appends go on meanwhile.
func (l *Log) Replay(ctx context.Context, fn func(Entry) error) error {
	if err := l.beginRead("replay journal"); err != nil {
		return err
	}
	defer l.readers.Done()
	v := l.view.Load()
	for _, s := range v.segments {
		err := replaySegment(ctx, s, v.lsn, fn)
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends a replay at the last record of its snapshot.
var errEnough = errors.New("end of the snapshot")

func replaySegment(ctx context.Context, s *segment, last LSN, fn func(Entry) error) error {
	_, found, err := newScanner(s, s.end.Load()).run(ctx, func(e Entry, _ int64) error {
		if e.LSN > last {
			return errEnough
		}
		return fn(e)
	})
	if found != nil {
		return corrupt(s.path, found.at, found.what)
	}
	if err != nil {
		return readError(s, err)
	}
	return nil
}
