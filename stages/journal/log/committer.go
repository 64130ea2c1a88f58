package log

import (
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// kick wakes the committer.
func (l *Log) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run is the committer: the one goroutine that writes. It ends when the log is closing and nothing is pending.
func (l *Log) run() {
	defer close(l.stopped)
	for range l.wake {
		for {
			g, closing := l.take()
			if g == nil && closing {
				l.seal()
				return
			}
			if g == nil {
				break
			}
			l.settle(g, l.commitGroup(g))
		}
	}
}

// take swaps the pending group for an empty one; nil when nothing is pending.
func (l *Log) take() (g *group, closing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending.records) == 0 {
		return nil, l.closing
	}
	g = l.pending
	l.pending = &group{commit: newCommit()}
	return g, l.closing
}

// settle publishes the group or fails it, and gives its buffers and room back.
func (l *Log) settle(g *group, err error) {
	if err == nil {
		l.publish(g)
		l.finish(g, nil)
		return
	}
	l.failures.Add(1)
	l.poison()
	l.entries = l.entries[:len(l.view.Load().entries)]
	var doomed *group
	l.opts.OnFailure(err, func() LSN {
		doomed = l.discard(err)
		return l.view.Load().lsn
	})
	lost := l.lost(err)
	l.finish(g, lost)
	l.finish(doomed, lost)
}

// lost is what the records of a failed group are told: nothing of them is durable, and when to try again.
func (l *Log) lost(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fault.Wrap(fault.StorageUnavailable, cause, "the journal could not be written").
		WithOp("append").WithReason("STORAGE_UNAVAILABLE").WithRetryAfter(l.backoff)
}

func (l *Log) finish(g *group, err error) {
	for _, r := range g.records {
		r.payload.Free()
	}
	if g.weight > 0 {
		l.room.Release(g.weight)
	}
	g.commit.resolve(err)
}

// discard drops what is pending, takes the numbering back to what is durable, and lets appends begin again after a
// while. Called by the log's user under his lock, so that no append comes between his state's step back and this.
func (l *Log) discard(cause error) *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	doomed := l.pending
	l.pending = &group{commit: newCommit()}
	v := l.view.Load()
	l.nextLSN, l.nextOrdinal = v.lsn+1, v.ordinal+1
	l.backoff = min(max(2*l.backoff, l.opts.MinBackoff), l.opts.MaxBackoff)
	l.resumeAt = time.Now().Add(l.backoff)
	l.lastFailure = cause
	l.opts.Logger.Error("journal: write failed; the segment is closed for good, nothing of it was acknowledged",
		"error", cause, "retry_after", l.backoff)
	return doomed
}

// commitGroup writes a group behind its head and syncs it.
func (l *Log) commitGroup(g *group) error {
	w, err := l.segmentFor(g)
	if err != nil {
		return err
	}
	head := groupHead{offset: w.offset, firstLSN: g.records[0].lsn, length: g.bytes}
	if err := w.write(head.encode(w.seg.header.salt)); err != nil {
		return err
	}
	for i := range g.records {
		if err := l.writeRecord(w, &g.records[i]); err != nil {
			return err
		}
	}
	if err := w.sync(); err != nil {
		return err
	}
	l.written.Add(uint64(groupHeadBytes + g.bytes))
	l.groups.Add(1)
	return nil
}

func (l *Log) writeRecord(w *writer, r *pendingRecord) error {
	sealRecord(r.head, w.seg.header.salt)
	if r.payload.Len() > 0 {
		l.entries = append(l.entries, entry{ordinal: r.ordinal, segment: uint32(len(l.segments) - 1), offset: uint32(w.offset)})
	}
	start := w.offset
	if err := w.write(r.head); err != nil {
		return err
	}
	if err := w.write(r.payload.items()); err != nil {
		return err
	}
	var zeros [frameAlign]byte
	return w.write(zeros[:r.length-(w.offset-start)])
}

// segmentFor returns the writer for a group, beginning a new segment when there is none or it is full.
func (l *Log) segmentFor(g *group) (*writer, error) {
	if l.active != nil && l.active.offset < l.opts.RollBytes {
		return l.active, nil
	}
	if l.active != nil {
		l.retire()
	}
	h := header{salt: l.opts.Salt(), number: 1, firstLSN: g.records[0].lsn, firstOrdinal: g.records[0].ordinal}
	if n := len(l.segments); n > 0 {
		h.number = l.segments[n-1].header.number + 1
		h.previousEnd = l.segments[n-1].end.Load()
	}
	w, err := createSegment(l.opts, h)
	if err != nil {
		return nil, err
	}
	l.active = w
	l.segments = append(l.segments, w.seg)
	l.written.Add(headerBytes)
	return w, nil
}

// poison closes the active segment after a failed write or sync. The segment of a group that failed is in no view before
// its first group is durable, so a blank one has no reader.
func (l *Log) poison() {
	if l.active != nil {
		l.retire()
		l.segments = dropLastBlank(l.segments)
	}
}

// retire closes the active segment for good, full or poisoned.
func (l *Log) retire() {
	if l.active != nil {
		l.active.abandon()
		l.active = nil
	}
}

// publish makes a synced group visible to readers.
func (l *Log) publish(g *group) {
	last := g.records[len(g.records)-1]
	l.view.Store(&view{
		segments: l.segments, entries: l.entries,
		lsn: last.lsn, ordinal: last.ordinal + Ordinal(last.payload.Len()) - 1,
	})
	l.mu.Lock()
	recovered := l.backoff > 0
	l.backoff = 0
	l.mu.Unlock()
	if recovered {
		l.opts.Logger.Info("journal: writing works again")
	}
}

// seal ends the active segment with an empty group, which proves at the next Open that nothing was under way.
func (l *Log) seal() {
	if l.active == nil {
		return
	}
	w := l.active
	head := groupHead{offset: w.offset, firstLSN: l.view.Load().lsn + 1}
	err := w.write(head.encode(w.seg.header.salt))
	if err == nil {
		err = w.sync()
	}
	if err != nil {
		l.opts.Logger.Warn("journal: the last segment could not be marked as complete; nothing is lost", "error", err)
	}
	l.retire()
}
