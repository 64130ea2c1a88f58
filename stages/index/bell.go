package index

import "sync/atomic"

// bell wakes all who wait for the next thing to happen. Safe for concurrent use; the zero value is ready.
type bell struct {
	waiting atomic.Pointer[chan struct{}] // closed when it rings; nil: nobody waits
}

// next returns a channel that is closed when the bell rings after this call.
func (b *bell) next() <-chan struct{} {
	for {
		if ch := b.waiting.Load(); ch != nil {
			return *ch
		}
		ch := make(chan struct{})
		if b.waiting.CompareAndSwap(nil, &ch) {
			return ch
		}
	}
}

// ring reports whether somebody waited.
func (b *bell) ring() bool {
	ch := b.waiting.Swap(nil)
	if ch != nil {
		close(*ch)
	}
	return ch != nil
}
