package hnsw

import "sync/atomic"

// epochs tell when everyone who was reading at some moment has stopped. Readers do not wait, and hold nothing up; what was
// taken from their sight in one epoch is nobody's two epochs later.
type epochs struct {
	now     atomic.Uint64
	readers [2]atomic.Int64 // in even epochs, and in odd ones
}

// enter begins a reader's stay and returns its epoch, for leave.
func (e *epochs) enter() uint64 {
	for {
		epoch := e.now.Load()
		e.readers[epoch&1].Add(1)
		if e.now.Load() == epoch {
			return epoch
		}
		e.readers[epoch&1].Add(-1) // it ended meanwhile: whoever counts may have counted before
	}
}

func (e *epochs) leave(epoch uint64) { e.readers[epoch&1].Add(-1) }

// advance begins the next epoch if nobody is left of the one before the present. One goroutine calls it.
func (e *epochs) advance() {
	if now := e.now.Load(); e.readers[(now+1)&1].Load() == 0 {
		e.now.Store(now + 1)
	}
}

// over reports whether all who were reading in an epoch, or before it, have stopped.
func (e *epochs) over(epoch uint64) bool { return e.now.Load() >= epoch+2 }
