package log

import (
	"context"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// group is what one sync covers. It is filled under Log.mu while it is pending, then it is the committer's.
type group struct {
	records []pendingRecord
	bytes   int64 // on disk, group head excluded
	weight  int64 // what the records have reserved
	commit  *Commit
}

type pendingRecord struct {
	head    []byte // everything before the items
	payload *Payload
	lsn     LSN
	ordinal Ordinal
	length  int64
}

// Reservation is room in the pending buffer. Not safe for concurrent use.
type Reservation struct {
	log    *Log
	weight int64
}

// Release gives back what Append has not used. It may be called more than once.
func (r *Reservation) Release() {
	if r.weight > 0 {
		r.log.room.Release(r.weight)
		r.weight = 0
	}
}

// Reserve waits until about bytes have room in the pending buffer, so that Append never waits. A record larger than the
// whole buffer waits until it is empty.
func (l *Log) Reserve(ctx context.Context, bytes int) (*Reservation, error) {
	weight := min(max(int64(bytes), recordWeight), l.opts.PendingBytes)
	if err := l.room.Acquire(ctx, weight); err != nil {
		return nil, fault.GaveUp(err, "gave up waiting for the journal").WithOp("append")
	}
	return &Reservation{log: l, weight: weight}, nil
}

// Append puts the records into the pending buffer, all in one group and in this order, and returns where they will lie.
// It does not wait. It takes the payloads over, and the reservation; with an error nothing is appended and payloads and
// reservation stay the caller's. While the log recovers from a failed write, the error is a fault.StorageUnavailable
// with the time after which to try again.
//
// Safe for concurrent use, but whoever decides on an order holds his own lock around it.
func (l *Log) Append(r *Reservation, records ...Record) (Receipt, error) {
	for _, rec := range records {
		if err := checkSize(rec); err != nil {
			return Receipt{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refuses(); err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{FirstOrdinal: l.nextOrdinal, Commit: l.pending.commit}
	for _, rec := range records {
		l.enqueue(rec)
	}
	receipt.LSN = l.nextLSN - 1
	l.pending.weight += r.weight
	r.weight = 0
	l.kick()
	return receipt, nil
}

func checkSize(rec Record) error {
	f := recordFrame{items: rec.Payload.Len(), meta: len(rec.Meta)}
	if n := f.body() + rec.Payload.Bytes() + frameAlign; f.items > MaxItems || n > MaxRecordBytes {
		return fault.New(fault.Internal, "a record of %d items and %d bytes is over the limit of %d items and %d bytes",
			f.items, n, MaxItems, MaxRecordBytes).WithOp("append")
	}
	return nil
}

// refuses says why nothing can be appended now. Callers hold mu.
func (l *Log) refuses() error {
	if l.closing {
		return fault.New(fault.Unavailable, "the journal is closed").WithOp("append")
	}
	if wait := time.Until(l.resumeAt); wait > 0 {
		return fault.Wrap(fault.StorageUnavailable, l.lastFailure, "the journal waits before it tries the disk again").
			WithOp("append").WithReason("STORAGE_UNAVAILABLE").WithRetryAfter(wait)
	}
	return nil
}

// enqueue numbers and encodes one record. Callers hold mu.
func (l *Log) enqueue(rec Record) {
	p := pendingRecord{payload: rec.Payload, lsn: l.nextLSN, ordinal: l.nextOrdinal}
	if rec.Payload != nil {
		p.head = rec.Payload.head
	}
	p.head = encodeRecord(p.head, rec, l.nextLSN, l.nextOrdinal)
	p.length = alignUp(int64(len(p.head) + rec.Payload.Bytes()))
	if rec.Payload != nil {
		rec.Payload.head = p.head
	}
	l.pending.records = append(l.pending.records, p)
	l.pending.bytes += p.length
	l.nextLSN++
	l.nextOrdinal += Ordinal(rec.Payload.Len())
}
