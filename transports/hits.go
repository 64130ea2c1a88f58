package transports

import (
	"context"
	"sync"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// hitQueue holds recall frames for a stream's writer, bounded in hits and bytes. A recall that finds it full waits,
// so a client that reads slowly holds up its own recalls and nothing else. Safe for concurrent use, with one popper.
type hitQueue struct {
	ready chan struct{} // cap 1: something was pushed
	room  chan struct{} // cap 1: something was popped

	mu     sync.Mutex
	frames []hitFrame // guarded by mu
	hits   int        // guarded by mu
	bytes  int        // guarded by mu
}

// hitFrame weighs at least one hit, so that frames without any are bounded too.
type hitFrame struct {
	frame *engramv1.MemoryFlowResponse
	hits  int
	bytes int
}

func newHitQueue() *hitQueue {
	return &hitQueue{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push waits for room; a frame larger than the whole queue passes alone.
func (q *hitQueue) push(ctx context.Context, f hitFrame) error {
	for !q.tryPush(f) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	signal(q.ready)
	return nil
}

func (q *hitQueue) tryPush(f hitFrame) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) > 0 && (q.hits+f.hits > maxQueuedHits || q.bytes+f.bytes > maxQueuedHitBytes) {
		return false
	}
	q.frames = append(q.frames, f)
	q.hits += f.hits
	q.bytes += f.bytes
	if q.hits < maxQueuedHits && q.bytes < maxQueuedHitBytes {
		signal(q.room) // hand the wake-up on: one pop may make room for several waiters
	}
	return true
}

func (q *hitQueue) pop() (*engramv1.MemoryFlowResponse, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		return nil, false
	}
	f := q.frames[0]
	q.frames[0] = hitFrame{}
	q.frames = q.frames[1:]
	q.hits -= f.hits
	q.bytes -= f.bytes
	signal(q.room)
	return f.frame, true
}

// signal wakes a waiter, now or at its next wait; it never blocks.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
