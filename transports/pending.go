package transports

import "sync/atomic"

// pending counts what a stream has begun and not finished: items without a verdict, recalls at work. The reader holds
// one count of its own while it may still begin something, so the count reaches zero once, for good.
type pending struct {
	open atomic.Int64
	done chan struct{} // closed when open reaches zero
}

func newPending() *pending {
	p := &pending{done: make(chan struct{})}
	p.open.Store(1)
	return p
}

// begin adds n; only the holder of the reader's count may call it.
func (p *pending) begin(n int) { p.open.Add(int64(n)) }

func (p *pending) finish() {
	if p.open.Add(-1) == 0 {
		close(p.done)
	}
}
