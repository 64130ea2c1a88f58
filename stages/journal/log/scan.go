package log

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// visitError is an error of a scan's caller, told from one of the file system.
type visitError struct{ error }

// pager reads a file front to back in large pieces. The slices it returns are valid until its next call.
type pager struct {
	file vfs.File
	size int64
	at   int64 // where buf begins in the file
	buf  []byte
}

// bytes returns n bytes at off; off+n <= size.
func (p *pager) bytes(off int64, n int) ([]byte, error) {
	if off < p.at || off+int64(n) > p.at+int64(len(p.buf)) {
		if err := p.load(off, n); err != nil {
			return nil, err
		}
	}
	return p.buf[off-p.at:][:n], nil
}

func (p *pager) load(off int64, n int) error {
	n = max(n, int(min(readChunkBytes, p.size-off)))
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	p.at, p.buf = off, p.buf[:n]
	got, err := p.file.ReadAt(p.buf, off)
	if got == n {
		return nil
	}
	p.buf = p.buf[:0]
	if errors.Is(err, io.EOF) || err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// scanner walks the groups and records of one segment and checks every byte.
type scanner struct {
	page    pager
	header  header
	limit   int64 // where to stop: the segment's valid end, or the file's size
	open    bool  // the limit is only the file's size: a group that goes beyond it is damage
	lsn     LSN   // the next one expected
	ordinal Ordinal
	items   [][]byte

	lastGroup int64 // where the last group head lies; 0 before the first
}

func newScanner(s *segment, limit int64) *scanner {
	return &scanner{
		page: pager{file: s.file, size: limit}, header: s.header, limit: limit,
		lsn: s.header.firstLSN, ordinal: s.header.firstOrdinal,
	}
}

// run calls visit for each record. It returns where the last whole record ends, and the damage that stopped it, if any;
// err is a failed read, or a visitError.
func (s *scanner) run(ctx context.Context, visit func(e Entry, at int64) error) (end int64, found *damage, err error) {
	end = headerBytes
	for end < s.limit {
		if err := ctx.Err(); err != nil {
			return end, nil, visitError{err}
		}
		g, err := s.groupAt(end)
		if err == nil {
			end, err = s.group(g, visit)
		}
		if d, ok := errors.AsType[damage](err); ok {
			return end, &d, nil
		}
		if err != nil {
			return end, nil, err
		}
	}
	return end, nil, nil
}

func (s *scanner) groupAt(at int64) (groupHead, error) {
	if s.limit-at < groupHeadBytes {
		return groupHead{}, damage{at, "group head is cut short"}
	}
	b, err := s.page.bytes(at, groupHeadBytes)
	if err != nil {
		return groupHead{}, err
	}
	g, ok := decodeGroupHead(b, s.header.salt, at)
	switch {
	case !ok:
		return g, damage{at, "no valid group head"}
	case g.firstLSN != s.lsn:
		return g, damage{at, fmt.Sprintf("group begins with record %d, expected %d", g.firstLSN, s.lsn)}
	}
	s.lastGroup = at
	return g, nil
}

// group visits the records of a group. end is where its last whole record ends, or where the group begins without one.
func (s *scanner) group(g groupHead, visit func(Entry, int64) error) (end int64, err error) {
	end, at := g.offset, g.offset+groupHeadBytes
	stop := min(at+g.length, s.limit)
	for at < stop {
		next, err := s.record(at, stop, visit)
		if err != nil {
			return end, err
		}
		end, at = next, next
	}
	if s.open && at < g.offset+groupHeadBytes+g.length {
		return end, damage{at, "group is cut short"}
	}
	return at, nil
}

func (s *scanner) record(at, stop int64, visit func(Entry, int64) error) (next int64, err error) {
	f, b, err := s.frame(at, stop)
	if err != nil {
		return 0, err
	}
	switch {
	case f.lsn != s.lsn:
		return 0, damage{at, fmt.Sprintf("record has number %d, expected %d", f.lsn, s.lsn)}
	case f.ordinal != s.ordinal:
		return 0, damage{at, fmt.Sprintf("record begins with ordinal %d, expected %d", f.ordinal, s.ordinal)}
	}
	s.items, err = f.cut(b, s.items[:0])
	if d, ok := errors.AsType[damage](err); ok {
		return 0, damage{at + d.at, d.what}
	}
	e := Entry{LSN: f.lsn, Kind: f.kind, Ordinal: f.ordinal, Meta: b[f.body()-f.meta : f.body()], Items: s.items}
	if err := visit(e, at); err != nil {
		return 0, visitError{err}
	}
	s.lsn++
	s.ordinal += Ordinal(f.items)
	return at + f.length, nil
}

// frame reads the record at a place and checks its head's checksum.
func (s *scanner) frame(at, stop int64) (recordFrame, []byte, error) {
	if stop-at < recordHead {
		return recordFrame{}, nil, damage{at, "record is cut short"}
	}
	b, err := s.page.bytes(at, recordHead)
	if err != nil {
		return recordFrame{}, nil, err
	}
	f, err := decodeRecordHead(b, stop-at)
	if err != nil {
		return f, nil, damage{at, err.Error()}
	}
	if b, err = s.page.bytes(at, int(f.length)); err != nil {
		return f, nil, err
	}
	if le.Uint32(b) != salted(s.header.salt, b[4:f.body()]) {
		return f, nil, damage{at, fmt.Sprintf("record %d fails its checksum", s.lsn)}
	}
	return f, b, nil
}

// laterGroup looks for a valid group head after a place. One is written only after everything before it was synced, so
// it proves that damage before it is no torn tail.
func laterGroup(s *segment, after, size int64) (at int64, found bool, err error) {
	p := pager{file: s.file, size: size}
	for at = alignUp(after + 1); at+groupHeadBytes <= size; at += frameAlign {
		b, err := p.bytes(at, groupHeadBytes)
		if err != nil {
			return 0, false, err
		}
		if _, ok := decodeGroupHead(b, s.header.salt, at); ok {
			return at, true, nil
		}
	}
	return 0, false, nil
}
