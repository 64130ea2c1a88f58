package index

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// What a refused recall is told to wait, at least and at most.
const (
	leastRetry = 10 * time.Millisecond
	mostRetry  = 5 * time.Second
)

// smoothing is the weight of the past in the mean service time: 7 of 8 parts.
const smoothing = 8

// pool bounds how many recalls run at once and how many more wait. A recall runs on its caller's goroutine. Safe for
// concurrent use.
type pool struct {
	// immutable
	workers int
	queue   int

	running chan struct{} // a token for each recall that runs
	inside  atomic.Int64  // running or waiting
	service atomic.Int64  // mean time of one recall, in nanoseconds; 0: none yet
}

func newPool(workers, queue int) *pool {
	workers = max(workers, 1)
	return &pool{workers: workers, queue: max(queue, 0), running: make(chan struct{}, workers)}
}

// run runs fn when its turn has come. Beyond the queue it refuses at once, with the time after which there may be room.
func (p *pool) run(ctx context.Context, fn func() error) error {
	if inside := p.inside.Add(1); inside > int64(p.workers+p.queue) {
		p.inside.Add(-1)
		return p.full()
	}
	defer p.inside.Add(-1)
	select {
	case p.running <- struct{}{}:
	case <-ctx.Done():
		return contextFault(ctx)
	}
	defer func() { <-p.running }()
	if ctx.Err() != nil { // both were ready, and the caller has gone
		return contextFault(ctx)
	}
	start := time.Now()
	err := fn()
	p.measure(time.Since(start))
	return err
}

// measure folds one service time into the mean. A lost update among concurrent ones does no harm.
func (p *pool) measure(d time.Duration) {
	mean := p.service.Load()
	if mean == 0 {
		mean = int64(d)
	}
	p.service.Store(mean + (int64(d)-mean)/smoothing)
}

func (p *pool) full() error {
	waits := time.Duration(p.service.Load()) * time.Duration(p.queue+1) / time.Duration(p.workers)
	return fault.New(fault.ResourceExhausted, "%d recalls run and %d wait: the queue is full", p.workers, p.queue).
		WithOp("recall").WithReason("RECALL_QUEUE_FULL").WithRetryAfter(min(max(waits, leastRetry), mostRetry)).
		WithHint("retry after the time given; if it stays so, raise recall.workers or recall.queue")
}

// contextFault says why a caller's context ended.
func contextFault(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.DeadlineExceeded, err, "")
	}
	return fault.Wrap(fault.Canceled, ctx.Err(), "")
}
