package index

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/engram-stream/engram/internal/memory"
)

// A space is listed and watched while its memories are replaced. The race detector is what this test is for: the writer
// links a slot to the one that it replaces when the slot is committed, and not published yet.
func TestAReaderWalksTheSlotsWhileMemoriesAreReplaced(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	process(t, s, j.append(at("x"), durable(), observe(numbered(0), 1, 0))...)
	f, err := s.service.Feed("x")
	if !noError(t, err) {
		return
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	readers.Go(func() {
		for !done.Load() {
			_, _, err := f.Read(t.Context(), memory.Cursor{}, func(memory.EventKind) bool { return true })
			noError(t, err)
		}
	})
	readers.Go(func() {
		for !done.Load() {
			_, _, _, err := s.service.List(t.Context(), "x", 0, 10, false, nil)
			noError(t, err)
		}
	})
	for range 300 {
		var ops []memory.Op
		for i := range 32 {
			ops = append(ops, observe(numbered(i), 1, 0))
		}
		process(t, s, j.append(at("x"), durable(), ops...)...)
	}
	done.Store(true)
	readers.Wait()
}
