package index

import (
	"context"

	"github.com/engram-stream/engram/internal/memory"
)

// What a replay reads ahead of what is applied: batches of so many ops, that weigh so much in all, and so many batches.
const (
	aheadOps     = 256
	aheadBytes   = 1 << 20
	aheadBatches = 4
)

// replayed is an op of a replay.
type replayed struct {
	space memory.Space
	step  step
}

// replayAhead is the journal's ReplayOps, which reads, checks and decodes what comes next while fn has the op before: a start takes
// the longer of the two times, not their sum. fn runs on the caller's goroutine; nothing runs any more when it returns.
func (ix *index) replayAhead(ctx context.Context, fn func(space memory.Space, s step) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &reader{ctx: ctx, to: make(chan []replayed, aheadBatches)}
	var failed error
	go func() {
		defer close(r.to)
		if failed = ix.journal.ReplayOps(ctx, r.read); failed == nil {
			failed = r.send()
		}
	}()
	var err error
	for batch := range r.to {
		for i := 0; i < len(batch) && err == nil; i++ {
			err = fn(batch[i].space, batch[i].step)
		}
		if err != nil {
			cancel() // what has been read is dropped
		}
	}
	if err != nil {
		return err
	}
	return failed
}

// reader gathers what is read into batches.
type reader struct {
	ctx   context.Context
	to    chan []replayed
	batch []replayed
	bytes int
}

func (r *reader) read(space memory.Space, v memory.Version, o memory.Ordinal, op memory.Op) error {
	r.batch = append(r.batch, replayed{space: space, step: step{op: &op, version: v, ordinal: o}})
	if op.Observe != nil {
		r.bytes += op.Observe.Payload()
	}
	if len(r.batch) < aheadOps && r.bytes < aheadBytes {
		return nil
	}
	return r.send()
}

func (r *reader) send() error {
	select {
	case r.to <- r.batch:
		r.batch, r.bytes = nil, 0
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}
