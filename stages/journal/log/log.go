// Package log is engram's segmented log: small and strict, written once and checked on every read.
//
// A record is the unit of commit; its items are addressed by ordinal, counted over the whole log from 1. Appends go to
// a bounded pending buffer; one committer goroutine writes what is pending as one group, syncs once and resolves the
// group's Commit (group commit). Reads serve durable items only, by ordinal, each with its own checksum checked.
//
// It promises: what a Commit has reported durable is found by every later Open, in order, byte-equal; a failed write or
// sync poisons the segment for good and its bytes never come back (the next segment's header voids them); a torn tail
// that can not have been acked is cut and reported; damage anywhere else is a fault.Corrupt that names file and offset.
//
// It assumes that a disk sector is written whole or not at all. Start with Open; the byte layouts are in format.go.
package log

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/semaphore"

	"github.com/engram-stream/engram/internal/fault"
)

// Limits. A record's offsets are 32 bits wide, and a group may start just below the roll size; options.go's check holds
// the sum of the two below MaxSegmentBytes.
const (
	MaxSegmentBytes  = 1 << 32
	MaxRecordBytes   = 16 << 20 // one record, head and table included
	MaxItems         = 1 << 14  // items in one record
	DefaultRollBytes = 256 << 20
	DefaultPending   = 64 << 20

	maxPendingBytes   = 1 << 30
	minRollBytes      = 4 << 10
	recordWeight      = 1 << 10 // a pending record weighs at least this, which bounds their count
	directBytes       = 1 << 18 // from here on bytes are written from where they lie: a write more costs less than the copy
	chunkBytes        = 1 << 20 // one write; larger single writes measured up to 3x slower
	readChunkBytes    = 1 << 20 // one read of a scan
	defaultMinBackoff = 100 * time.Millisecond
	defaultMaxBackoff = 5 * time.Second
	directoryMode     = 0o755
	writeCategory     = vfs.DiskWriteCategory("engram-journal")
)

// LSN numbers the records of a log, from 1.
type LSN uint64

// Ordinal numbers the items of a log, from 1.
type Ordinal uint64

// Kind tells the log's user what a record's Meta and Payload are; the log does not read it.
type Kind uint8

// Record is one unit of commit on its way into the log. Meta is copied by Append; Payload is handed over to it.
type Record struct {
	Kind    Kind
	Meta    []byte
	Payload *Payload // nil: no items
}

// Entry is a record as it lies in the log. The slices are valid during the callback that gets it.
type Entry struct {
	LSN     LSN
	Kind    Kind
	Ordinal Ordinal // of the first item; of the next record's first item when there is none
	Meta    []byte
	Items   [][]byte
}

// Receipt says where appended records will lie. FirstOrdinal is that of the first item of the first record with items.
type Receipt struct {
	LSN          LSN // of the last record
	FirstOrdinal Ordinal
	Commit       *Commit
}

// Options configure a log. FS and Dir are required; zero values elsewhere take the defaults.
type Options struct {
	FS     vfs.FS
	Dir    string
	Logger *slog.Logger

	RollBytes    int64 // a segment that has grown to this is followed by a new one
	PendingBytes int64 // the most that waits for its sync
	MinBackoff   time.Duration
	MaxBackoff   time.Duration

	// Salt gives each segment a number that its checksums start from, so that no payload can pass for a frame of it.
	// Nil: from crypto/rand.
	Salt func() uint64

	// OnFailure is called by the committer when a write or sync has failed. It must call discard exactly once while it
	// holds whatever keeps others from appending: discard drops everything appended that is not durable and returns the
	// last durable LSN, to which the caller takes its own state back. The Commits concerned are resolved afterwards.
	OnFailure func(cause error, discard func() LSN)
}

// Recovery is what Open found.
type Recovery struct {
	Segments       int
	Records        uint64
	Items          uint64
	TruncatedBytes int64  // of a torn tail, now void
	File           string // the file with the torn tail; empty without one
	Offset         int64  // where it was cut
}

// Stats is a reading of a log. Written, Groups and Failures count since it was opened.
type Stats struct {
	Segments int
	Bytes    int64 // valid bytes of all segments
	LSN      LSN   // the last durable record
	Items    uint64
	Groups   uint64 // synced
	Written  uint64 // bytes
	Failures uint64 // groups that failed
}

// Log is an open log. Safe for concurrent use.
type Log struct {
	opts    Options // immutable
	room    *semaphore.Weighted
	wake    chan struct{} // holds one
	stopped chan struct{} // closed when the committer has ended

	mu          sync.Mutex
	pending     *group        // guarded by mu
	nextLSN     LSN           // guarded by mu
	nextOrdinal Ordinal       // guarded by mu
	resumeAt    time.Time     // guarded by mu: no appends before, after a failure
	backoff     time.Duration // guarded by mu; 0 after a success
	lastFailure error         // guarded by mu
	closing     bool          // guarded by mu

	active   *writer    // the committer's own; nil: the next group begins a segment
	segments []*segment // the committer's own; published in view
	entries  []entry    // the committer's own; published in view

	view     atomic.Pointer[view]
	groups   atomic.Uint64
	written  atomic.Uint64
	failures atomic.Uint64

	// Readers count themselves in readers, unless closed; Close sets closed and waits for them before it closes the
	// files. So a read may happen inside a replay, and the committer never waits for a reader.
	reading sync.Mutex
	closed  bool           // guarded by reading
	readers sync.WaitGroup // added to under reading, while not closed
}

// Open scans the log in o.Dir (made if missing), calls visit for each record in order, and starts the committer. An
// error of visit ends it. A fault.Corrupt names the file and offset of damage that is not a torn tail.
//
// A new segment is begun with the first append: a file is only ever written by the process that made it.
func Open(o Options, visit func(Entry) error) (*Log, Recovery, error) {
	o, err := o.complete()
	if err != nil {
		return nil, Recovery{}, err
	}
	found, err := recoverSegments(o, visit)
	if err != nil {
		return nil, Recovery{}, err
	}
	l := &Log{
		opts: o, room: semaphore.NewWeighted(o.PendingBytes), wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		pending: &group{commit: newCommit()}, nextLSN: found.nextLSN, nextOrdinal: found.nextOrdinal,
		segments: found.segments, entries: found.entries,
	}
	l.view.Store(&view{segments: l.segments, entries: l.entries, lsn: l.nextLSN - 1, ordinal: l.nextOrdinal - 1})
	go l.run()
	return l, found.report, nil
}

// Close refuses further appends, commits what is pending, marks the log as complete and closes it. Calling it again
// does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.kick()
	<-l.stopped
	if !l.endReading() {
		return nil
	}
	return closeAll(l.segments)
}

// beginRead counts a reader in; he calls readers.Done. An error says that the log is closed.
func (l *Log) beginRead(op string) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.closed {
		return fault.New(fault.Unavailable, "the journal is closed").WithOp(op)
	}
	l.readers.Add(1)
	return nil
}

// endReading lets no reader in any more and waits until the last has left; false when that was done before.
func (l *Log) endReading() bool {
	l.reading.Lock()
	closed := l.closed
	l.closed = true
	l.reading.Unlock()
	l.readers.Wait()
	return !closed
}

// Durable returns the last durable record and item.
func (l *Log) Durable() (LSN, Ordinal) {
	v := l.view.Load()
	return v.lsn, v.ordinal
}

// Stats reads the counters.
func (l *Log) Stats() Stats {
	v := l.view.Load()
	s := Stats{
		Segments: len(v.segments), LSN: v.lsn, Items: uint64(v.ordinal),
		Groups: l.groups.Load(), Written: l.written.Load(), Failures: l.failures.Load(),
	}
	for _, seg := range v.segments {
		s.Bytes += seg.end.Load()
	}
	return s
}
