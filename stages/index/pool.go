package index

import (
	"context"
	"slices"
	"sync"
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

// pool bounds how many recalls run at once and how many more wait. A recall takes turns on its caller's goroutine: its
// first ones go before those of recalls that have had some, so that large answers hold up small ones by a turn and not by
// their length (least attained service first, in two classes). Safe for concurrent use.
type pool struct {
	// immutable
	workers int
	queue   int

	service atomic.Int64 // mean time of one recall, in nanoseconds; 0: none yet

	mu      sync.Mutex
	inside  int                  // guarded by mu: recalls that have begun and not ended
	running int                  // guarded by mu: turns
	waiting [2][]chan<- struct{} // guarded by mu: for a first turn, and for a later one; closed when it has come
	passed  int                  // guarded by mu: first turns that went before a later one that waited
}

// fairness is how many first turns go before a later one that waits, so that many small recalls never stop a large one.
const fairness = 4

func newPool(workers, queue int) *pool {
	return &pool{workers: max(workers, 1), queue: max(queue, 0)}
}

// recalling is one recall's way through the pool.
type recalling struct {
	pool  *pool
	turns int
	took  time.Duration
}

// begin lets a recall in. Beyond the queue it refuses at once, with the time after which there may be room. The caller
// calls end.
func (p *pool) begin() (*recalling, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside >= p.workers+p.queue {
		return nil, p.full()
	}
	p.inside++
	return &recalling{pool: p}, nil
}

func (r *recalling) end() {
	r.pool.measure(r.took)
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.pool.inside--
}

// turn runs fn when the recall's turn has come.
func (r *recalling) turn(ctx context.Context, fn func() error) error {
	if err := r.pool.await(ctx, min(r.turns, 1)); err != nil {
		return err
	}
	defer r.pool.leave()
	r.turns++
	if ctx.Err() != nil { // the turn came, and the caller had gone
		return contextFault(ctx)
	}
	start := time.Now()
	defer func() { r.took += time.Since(start) }()
	return fn()
}

// await waits for a turn in one of the two lines.
func (p *pool) await(ctx context.Context, line int) error {
	p.mu.Lock()
	if p.running < p.workers {
		p.running++ // nobody waits, or the turn that became free would be somebody's
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.waiting[line] = append(p.waiting[line], turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting[line], turn); i >= 0 {
		p.waiting[line] = slices.Delete(p.waiting[line], i, i+1)
	} else {
		p.next() // it came meanwhile
	}
	return contextFault(ctx)
}

func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next()
}

// next hands a turn that has ended to who waits, or frees it. Callers hold mu.
func (p *pool) next() {
	line := 0
	if len(p.waiting[1]) > 0 && (len(p.waiting[0]) == 0 || p.passed >= fairness) {
		line = 1
	}
	if len(p.waiting[line]) == 0 {
		p.running--
		return
	}
	p.passed++
	if line == 1 {
		p.passed = 0
	}
	close(p.waiting[line][0])
	p.waiting[line] = slices.Delete(p.waiting[line], 0, 1)
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
	return fault.GaveUp(ctx.Err(), "")
}
