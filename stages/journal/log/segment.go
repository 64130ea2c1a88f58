package log

import (
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/files"
)

// segment is one file as its readers know it.
type segment struct {
	header header
	path   string
	file   vfs.File // for reading only

	end atomic.Int64 // where the durable, valid bytes end; written by the committer
}

// writer appends to the newest segment. It is the committer's own. After any error it must be abandoned: the file is
// closed and never written again, since after a failed sync nobody knows what the disk holds.
type writer struct {
	seg    *segment
	file   vfs.File
	offset int64
	chunk  []byte // gathers small pieces into writes of chunkBytes; empty between groups
}

// blank says that no record in the segment is valid.
func (s *segment) blank() bool { return s.end.Load() == headerBytes }

// dropLastBlank returns the segments without the last one if that is blank. The next segment then takes its number, and
// its place on disk: so a disk that fails for long leaves one file behind and not one a try. No reader may have it yet.
func dropLastBlank(segments []*segment) []*segment {
	last := len(segments) - 1
	if last < 0 || !segments[last].blank() {
		return segments
	}
	_ = segments[last].file.Close() // opened for reading only
	return segments[:last]
}

// createSegment makes the file with a durable header in a durable directory entry, before any record is written to it.
// It gets its name only with the header on disk, and by a rename: where it takes the place of a blank segment, a crash
// leaves one or the other, and both say the same of the segment before. Removing the blank one first would, for a moment,
// leave nothing that voids the failed bytes before it.
func createSegment(o Options, h header) (*writer, error) {
	path := o.FS.PathJoin(o.Dir, segmentName(h.number))
	file, err := o.FS.Create(unnamed(o), writeCategory)
	if err != nil {
		return nil, storageError("create journal segment", path, err)
	}
	w := &writer{file: file, seg: &segment{header: h, path: path}, chunk: make([]byte, 0, chunkBytes)}
	if err := w.begin(o); err != nil {
		w.abandon()
		return nil, err
	}
	return w, nil
}

func (w *writer) begin(o Options) error {
	if err := w.write(w.seg.header.encode()); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	if err := o.FS.Rename(unnamed(o), w.seg.path); err != nil {
		return storageError("name journal segment", w.seg.path, err)
	}
	if err := files.SyncFolder(o.FS, o.Dir); err != nil {
		return storageError("sync journal folder", o.Dir, err)
	}
	file, err := o.FS.Open(w.seg.path, vfs.RandomReadsOption)
	if err != nil {
		return storageError("open journal segment", w.seg.path, err)
	}
	w.seg.file = file
	return nil
}

// write adds bytes to the file, in writes of at most chunkBytes. What is large goes to the file from where it lies.
func (w *writer) write(b []byte) error {
	if len(b) >= directBytes {
		return w.direct(b)
	}
	for len(b) > 0 {
		n := min(len(b), chunkBytes-len(w.chunk))
		w.chunk = append(w.chunk, b[:n]...)
		b = b[n:]
		w.offset += int64(n)
		if len(w.chunk) == chunkBytes {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// direct adds bytes without gathering them first. They are used up: a file may change what it is given to write.
func (w *writer) direct(b []byte) error {
	if err := w.flush(); err != nil {
		return err
	}
	for piece := range slices.Chunk(b, chunkBytes) {
		if err := w.put(piece); err != nil {
			return err
		}
		w.offset += int64(len(piece))
	}
	return nil
}

func (w *writer) flush() error {
	if len(w.chunk) == 0 {
		return nil
	}
	err := w.put(w.chunk)
	w.chunk = w.chunk[:0]
	return err
}

func (w *writer) put(b []byte) error {
	if _, err := w.file.Write(b); err != nil {
		return storageError("write journal segment", w.seg.path, err)
	}
	return nil
}

// sync makes everything written so far durable and readable.
func (w *writer) sync() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.file.SyncData(); err != nil {
		return storageError("sync journal segment", w.seg.path, err)
	}
	w.seg.end.Store(w.offset)
	return nil
}

// abandon closes the file for writing; what is not synced is left to the next segment's header to void. The close's own
// error says nothing about durability: everything that counts has been synced before.
func (w *writer) abandon() { _ = w.file.Close() }

func storageError(op, path string, cause error) error {
	return fault.Wrap(fault.StorageUnavailable, cause, "").WithOp(op).WithSubject(path).
		WithReason("STORAGE_UNAVAILABLE").WithHint("check the disk's space and health")
}

func corrupt(path string, at int64, what string) error {
	return fault.New(fault.Corrupt, "offset %d: %s", at, what).WithOp("read journal").WithSubject(path).
		WithReason("JOURNAL_CORRUPT").
		WithHint("the file is damaged where data was acknowledged; restore the data folder from a copy, engram does not skip it")
}
