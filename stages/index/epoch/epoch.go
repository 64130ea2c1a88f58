// Package epoch tells when everyone who was reading at some moment has stopped, so that what they may have seen can be let go.
// Readers do not wait, and hold nothing up.
package epoch

import "sync/atomic"

// Epochs count readers. What was taken from their sight in one epoch is nobody's two epochs later. The zero value is ready.
type Epochs struct {
	now     atomic.Uint64
	readers [2]atomic.Int64 // in even epochs, and in odd ones
}

// Enter begins a reader's stay and returns its epoch, for Leave.
func (e *Epochs) Enter() uint64 {
	for {
		epoch := e.now.Load()
		e.readers[epoch&1].Add(1)
		if e.now.Load() == epoch {
			return epoch
		}
		e.readers[epoch&1].Add(-1) // it ended meanwhile: whoever counts may have counted before
	}
}

// Leave ends the stay of a reader that entered in an epoch.
func (e *Epochs) Leave(epoch uint64) { e.readers[epoch&1].Add(-1) }

// Now returns the epoch: that in which what is taken away now was still seen.
func (e *Epochs) Now() uint64 { return e.now.Load() }

// Advance begins the next epoch if nobody is left of the one before the present. One goroutine at a time calls it.
func (e *Epochs) Advance() {
	if now := e.now.Load(); e.readers[(now+1)&1].Load() == 0 {
		e.now.Store(now + 1)
	}
}

// Over reports whether all who were reading in an epoch, or before it, have stopped.
func (e *Epochs) Over(epoch uint64) bool { return e.now.Load() >= epoch+2 }
