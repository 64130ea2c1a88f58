package journal

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/journal/log"
)

// maxSpaces bounds the spaces unless the options say otherwise.
const maxSpaces = 100_000

// maxDetached bounds the sessions that wait to be resumed; beyond it those nearest to their expiry go.
const maxDetached = 100_000

// Options configure a store. FS and Dir are required.
type Options struct {
	FS           vfs.FS
	Dir          string
	SegmentBytes int64 // 0: the log's default
	PendingBytes int64 // 0: the log's default
	Logger       *slog.Logger
	Now          func() time.Time // nil: time.Now
	DetachTTL    time.Duration    // how long a session outlives its stream unless its client says; 0: 1 h
	MaxSpaces    int              // 0: 100,000
	MaxDetached  int              // sessions that wait to be resumed; 0: 100,000
	MinBackoff   time.Duration    // the first wait after a failed write; 0: the log's default
}

// Store is the journal: the log, and the state its records make. Safe for concurrent use.
//
// Locks: mu is taken before the log's own; the log's committer takes mu only in failed, when it holds nothing.
type Store struct {
	log       *log.Log
	logger    *slog.Logger
	now       func() time.Time
	detachTTL time.Duration

	mu       sync.Mutex
	state    *state             // guarded by mu
	presence presence           // guarded by mu
	onDelete func(memory.Space) // guarded by mu: who is to be told; nil: nobody

	sweeping context.CancelFunc
	kicked   chan struct{} // holds one: too many detached sessions
	swept    chan struct{} // closed when the sweeper has ended
}

// Open reads the journal in o.Dir and starts its committer and its sweeper of expired sessions. A fault.Corrupt names
// the file and offset of damage that is not a torn tail; a torn tail is cut and reported in the Recovery.
func Open(o Options) (*Store, log.Recovery, error) {
	s := &Store{}
	found, err := s.open(o)
	if err != nil {
		return nil, found, err
	}
	return s, found, nil
}

func (s *Store) open(o Options) (log.Recovery, error) {
	s.logger, s.now, s.state = cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), o.Now, newState(cmp.Or(o.MaxSpaces, maxSpaces))
	s.detachTTL = cmp.Or(o.DetachTTL, defaultDetachTTL)
	s.presence = newPresence(cmp.Or(o.MaxDetached, maxDetached))
	s.kicked, s.swept = make(chan struct{}, 1), make(chan struct{})
	if s.now == nil {
		s.now = time.Now
	}
	l, found, err := log.Open(log.Options{
		FS: o.FS, Dir: o.Dir, RollBytes: o.SegmentBytes, PendingBytes: o.PendingBytes, MinBackoff: o.MinBackoff,
		Logger: s.logger, OnFailure: s.failed,
	}, s.replayed)
	if err != nil {
		return found, err
	}
	s.log = l
	s.mu.Lock()
	s.detachOrphans()
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	s.sweeping = cancel
	go s.sweep(ctx)
	return found, nil
}

// Close stops the sweeper, commits what is pending and closes the log. Calling it again does nothing.
func (s *Store) Close() error {
	s.sweeping()
	<-s.swept
	return s.log.Close()
}

// replayed applies one record of the log while it is opened.
func (s *Store) replayed(e log.Entry) error {
	r, err := decodeRecord(e.Kind, e.Meta)
	if err != nil {
		return contradiction(e.LSN, "%v", err)
	}
	u, ok := r.(*unitRecord)
	if ok && u.Count != uint64(len(e.Items)) {
		return contradiction(e.LSN, "unit of %d ops has %d items", u.Count, len(e.Items))
	}
	if ok {
		u.Ordinal = e.Ordinal
	}
	if err := s.state.apply(e.LSN, r); err != nil {
		return err
	}
	s.state.settle(e.LSN)
	return nil
}

// failed takes the state back to what is durable; see log.Options.OnFailure.
func (s *Store) failed(_ error, discard func() log.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over(s.state.rollback(discard()))
	s.detachOrphans()
}

// settle lets readers see what has become durable. Callers hold mu.
func (s *Store) settle() {
	lsn, _ := s.log.Durable()
	s.over(s.state.settle(lsn))
}

// over lets go of the presence of sessions whose end is durable, and tells of deleted spaces. Not sooner: if the disk
// refuses an end, the session's stream serves on. Callers hold mu.
func (s *Store) over(o outcome) {
	for _, id := range o.ended {
		s.presence.forget(id)
	}
	for _, space := range o.deleted {
		if s.onDelete != nil {
			s.onDelete(space)
		}
	}
}

// OnDelete has fn told of each space that is deleted from now on, once that is durable and before anything makes a space
// of that name again. It is called under the store's lock: it must not wait, nor call the store.
func (s *Store) OnDelete(fn func(space memory.Space)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onDelete = fn
}

// change is a record that has been appended and applied, and is on its way to the disk.
type change struct {
	ordinal log.Ordinal
	commit  *log.Commit
}

// commit appends records and applies them to the state, in one step. Callers hold mu and have decided under it.
func (s *Store) commit(room *log.Reservation, payload *log.Payload, records ...record) (change, error) {
	entries := make([]log.Record, len(records))
	for i, r := range records {
		entries[i] = log.Record{Kind: r.kind(), Meta: r.append(nil)}
		if r.kind() == kindUnit {
			entries[i].Payload = payload
		}
	}
	receipt, err := s.log.Append(room, entries...)
	if err != nil {
		return change{}, err
	}
	for i, r := range records {
		lsn := receipt.LSN - log.LSN(len(records)-1-i)
		if u, ok := r.(*unitRecord); ok {
			u.Ordinal = receipt.FirstOrdinal
		}
		if err := s.state.apply(lsn, r); err != nil {
			panic(err) // decided under this lock: it can not contradict
		}
	}
	return change{ordinal: receipt.FirstOrdinal, commit: receipt.Commit}, nil
}

// await waits until an append is durable. On the context's end the append may still become durable.
func await(ctx context.Context, d memory.Durability) error {
	select {
	case <-d.Done():
		return d.Err()
	case <-ctx.Done():
		return fault.GaveUp(ctx.Err(), "gave up waiting for the disk")
	}
}

// reserveControl waits for room for control records.
func (s *Store) reserveControl(ctx context.Context, records int) (*log.Reservation, error) {
	return s.log.Reserve(ctx, records*controlBytes)
}

// controlBytes is more than any control record takes.
const controlBytes = 1 << 10

// JournalStats counts the ops that are durable, since the first start, and the sessions with and without a stream now.
func (s *Store) JournalStats() (committed uint64, attached, detached int) {
	_, ordinal := s.log.Durable()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	attached, detached = s.presence.counts()
	return uint64(ordinal), attached, detached
}
