package epoch

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestNothingIsOverWhileSomeoneReads: whoever entered in an epoch or before is waited for, and nobody else.
func TestNothingIsOverWhileSomeoneReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Epochs
		var inside []uint64
		taken := map[uint64]int{} // epoch → readers inside when something was taken away in it
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(*rapid.T) { inside = append(inside, e.Enter()) },
			"leave": func(t *rapid.T) {
				if len(inside) > 0 {
					i := rapid.IntRange(0, len(inside)-1).Draw(t, "reader")
					e.Leave(inside[i])
					inside = append(inside[:i], inside[i+1:]...)
				}
			},
			"take away": func(*rapid.T) { taken[e.Now()]++ },
			"advance":   func(*rapid.T) { e.Advance() },
			"": func(t *rapid.T) {
				for at := range taken {
					for _, reader := range inside {
						require.False(t, e.Over(at) && reader <= at, "a reader of epoch %d is inside, and %d is over", reader, at)
					}
				}
			},
		})
		for _, reader := range inside {
			e.Leave(reader)
		}
		at := e.Now()
		e.Advance()
		e.Advance()
		require.True(t, e.Over(at))
	})
}

// TestWhatIsLetGoIsNotRead: readers of a value that is swapped never find it let go.
func TestWhatIsLetGoIsNotRead(t *testing.T) {
	var e Epochs
	var at atomic.Pointer[atomic.Bool] // false: let go
	value := func() *atomic.Bool { v := new(atomic.Bool); v.Store(true); return v }
	at.Store(value())
	var done atomic.Bool
	var group conc.WaitGroup
	for range 4 {
		group.Go(func() {
			for !done.Load() {
				epoch := e.Enter()
				v := at.Load()
				for range 10 {
					assert.True(t, v.Load())
				}
				e.Leave(epoch)
				runtime.Gosched() // or it is stopped inside, for all of a time slice
			}
		})
	}
	for range 200 {
		old := at.Swap(value())
		for epoch := e.Now(); !e.Over(epoch); {
			e.Advance()
			runtime.Gosched()
		}
		old.Store(false)
	}
	done.Store(true)
	group.Wait()
}
