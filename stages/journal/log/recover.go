package log

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/files"
)

// recovered is what lies in a log's folder.
type recovered struct {
	segments    []*segment
	entries     []entry
	nextLSN     LSN
	nextOrdinal Ordinal
	report      Recovery
}

// recoverSegments reads the whole log. On an error every file is closed again.
func recoverSegments(o Options, visit func(Entry) error) (*recovered, error) {
	r := &recovered{nextLSN: 1, nextOrdinal: 1}
	if err := r.run(o, visit); err != nil {
		_ = closeAll(r.segments) // the first error is the one that counts
		return nil, err
	}
	return r, nil
}

func (r *recovered) run(o Options, visit func(Entry) error) error {
	if err := files.MakeFolder(o.FS, o.Dir, directoryMode); err != nil {
		return storageError("make journal folder", o.Dir, err)
	}
	if err := r.openAll(o); err != nil {
		return err
	}
	for i := range r.segments {
		if err := r.scan(o, i, visit); err != nil {
			return err
		}
	}
	r.segments = dropLastBlank(r.segments)
	r.report.Segments = len(r.segments)
	r.report.Records, r.report.Items = uint64(r.nextLSN-1), uint64(r.nextOrdinal-1)
	return nil
}

// openAll opens the segments in order and checks that none is missing.
func (r *recovered) openAll(o Options) error {
	numbers, err := listSegments(o)
	if err != nil {
		return err
	}
	for i, number := range numbers {
		path := o.FS.PathJoin(o.Dir, segmentName(number))
		if number != uint64(i)+1 {
			return corrupt(o.FS.PathJoin(o.Dir, segmentName(uint64(i)+1)), 0, "the segment is missing")
		}
		s, err := openSegment(o, path, number)
		if err != nil {
			return err
		}
		r.segments = append(r.segments, s)
	}
	return nil
}

func listSegments(o Options) ([]uint64, error) {
	names, err := o.FS.List(o.Dir)
	if err != nil {
		return nil, storageError("list journal folder", o.Dir, err)
	}
	var numbers []uint64
	for _, name := range names {
		var n uint64
		if _, err := fmt.Sscanf(name, "%d.seg", &n); err == nil && name == segmentName(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openSegment opens one file and reads its header. Its end is provisional: the file's size.
func openSegment(o Options, path string, number uint64) (s *segment, err error) {
	file, err := o.FS.Open(path, vfs.RandomReadsOption)
	if err != nil {
		return nil, storageError("open journal segment", path, err)
	}
	defer func() {
		if s == nil {
			_ = file.Close() // opened for reading only
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, storageError("stat journal segment", path, err)
	}
	p := pager{file: file, size: info.Size()}
	b, err := p.bytes(0, int(min(headerBytes, info.Size())))
	if err != nil {
		return nil, storageError("read journal segment", path, err)
	}
	h, err := decodeHeader(b)
	if version, ok := errors.AsType[formatError](err); ok {
		return nil, fault.Wrap(fault.FailedPrecondition, version, "").WithOp("open journal").WithSubject(path).
			WithHint("the folder was written by a newer engram; start that version")
	}
	if err == nil && h.number != number {
		err = fmt.Errorf("segment calls itself number %d", h.number)
	}
	if err != nil {
		return nil, corrupt(path, 0, err.Error())
	}
	s = &segment{header: h, path: path, file: file}
	s.end.Store(info.Size())
	return s, nil
}

// scan visits segment i and settles where its valid bytes end.
func (r *recovered) scan(o Options, i int, visit func(Entry) error) error {
	s, size := r.segments[i], r.segments[i].end.Load()
	if s.header.firstLSN != r.nextLSN || s.header.firstOrdinal != r.nextOrdinal {
		return corrupt(s.path, 0, fmt.Sprintf("segment begins with record %d and ordinal %d, expected %d and %d",
			s.header.firstLSN, s.header.firstOrdinal, r.nextLSN, r.nextOrdinal))
	}
	last := i == len(r.segments)-1
	limit := size
	if !last {
		if limit = r.segments[i+1].header.previousEnd; limit < headerBytes || limit > size {
			return corrupt(s.path, size, fmt.Sprintf("the next segment says that %d bytes are valid, the file has %d", limit, size))
		}
	}
	sc := newScanner(s, limit)
	sc.open = last
	end, found, err := sc.run(context.Background(), func(e Entry, at int64) error {
		if len(e.Items) > 0 {
			r.entries = append(r.entries, entry{ordinal: e.Ordinal, segment: uint32(i), offset: uint32(at)})
		}
		return visit(e)
	})
	switch {
	case err != nil:
		return readError(s, err)
	case found != nil && !last:
		return corrupt(s.path, found.at, found.what)
	case found != nil:
		if err := r.cutTail(s, found, end, size); err != nil {
			return err
		}
	}
	s.end.Store(end)
	r.nextLSN, r.nextOrdinal = sc.lsn, sc.ordinal
	if last {
		return confirmTail(o, s, sc)
	}
	return nil
}

// cutTail decides whether damage in the last segment is a torn tail, and reports it.
func (r *recovered) cutTail(s *segment, found *damage, end, size int64) error {
	proof, is, err := laterGroup(s, found.at, size)
	if err != nil {
		return readError(s, err)
	}
	if is {
		return corrupt(s.path, found.at, fmt.Sprintf("%s, and the group at offset %d proves that it was durable", found.what, proof))
	}
	r.report.File, r.report.Offset, r.report.TruncatedBytes = s.path, end, size-end
	return nil
}

// confirmTail makes the last group certainly durable before anything builds on it. All groups but the last are proven by
// the one after them; the last may lie in the page cache only, or may have met a failed sync, after which the cache
// counts as clean and a new sync would write nothing. Writing the same bytes again to the same place makes them dirty,
// and is harmless wherever it is cut short. An empty group is no exception: it may itself be in the page cache only, and
// the next segment is about to say that it is valid.
func confirmTail(o Options, s *segment, sc *scanner) error {
	end := s.end.Load()
	if sc.lastGroup >= end {
		return nil
	}
	file, err := o.FS.OpenReadWrite(s.path, writeCategory)
	if err != nil {
		return storageError("confirm journal tail", s.path, err)
	}
	defer file.Close()
	p := pager{file: s.file, size: end}
	for at := sc.lastGroup; at < end; at += chunkBytes {
		b, err := p.bytes(at, int(min(chunkBytes, end-at)))
		if err != nil {
			return readError(s, err)
		}
		if _, err := file.WriteAt(b, at); err != nil {
			return storageError("confirm journal tail", s.path, err)
		}
	}
	if err := file.SyncData(); err != nil {
		return storageError("confirm journal tail", s.path, err)
	}
	if err := files.SyncFolder(o.FS, o.Dir); err != nil {
		return storageError("sync journal folder", o.Dir, err)
	}
	return nil
}

// readError passes a visitor's error on and dresses one of the file system.
func readError(s *segment, err error) error {
	if v, ok := errors.AsType[visitError](err); ok {
		return v.error
	}
	return storageError("read journal segment", s.path, err)
}

func closeAll(segments []*segment) error {
	var errs []error
	for _, s := range segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}
