package arena

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type item struct {
	A uint64
	B [3]float32
}

// TestGrowKeepsWhatWasWritten: whatever the sizes, an array begins with what it had, and the rest is zero.
func TestGrowKeepsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items []item
		var memory *Memory
		for range rapid.IntRange(1, 6).Draw(t, "times") {
			before := len(items)
			old := items
			items, memory = Grow(memory, items, before+rapid.IntRange(0, 9_000).Draw(t, "more"))
			for i := range items {
				if i < before {
					require.Equal(t, item{A: uint64(i) + 1}, items[i])
					require.Equal(t, item{A: uint64(i) + 1}, old[i])
				} else {
					require.Zero(t, items[i])
				}
				items[i].A = uint64(i) + 1
			}
			runtime.KeepAlive(memory)
		}
	})
}

// TestAnArrayGrowsInPlace: who has the slice from before sees what is written later, while there is room.
func TestAnArrayGrowsInPlace(t *testing.T) {
	first, memory := Grow[uint64](nil, nil, 10)
	second, again := Grow(memory, first, leastReserved/8)
	if !memory.OffHeap() {
		t.Skip("there is no memory outside the heap here")
	}
	require.Same(t, memory, again)
	second[3] = 7
	assert.Equal(t, uint64(7), first[3])
	third, other := Grow(again, second, leastReserved/8+1)
	require.NotSame(t, memory, other)
	third[3] = 8
	assert.Equal(t, uint64(7), first[3], "the old one stays as it was")
	runtime.KeepAlive(memory)
	runtime.KeepAlive(other)
}

func TestMemoryGoesBack(t *testing.T) {
	if _, m := Make[byte](1); !m.OffHeap() {
		t.Skip("there is no memory outside the heap here")
	}
	const each = 64 << 20
	before := resident(t)
	for range 20 {
		b, m := Make[byte](each)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		runtime.KeepAlive(m)
		runtime.GC()
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return resident(t) <= before+5*each
	}, 20*time.Second, 10*time.Millisecond)
}

// resident is the process's memory in bytes, as the system counts it.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

func TestWhatHoldsPointersPanics(t *testing.T) {
	assert.Panics(t, func() { Make[*int](1) })
	assert.Panics(t, func() { Make[string](1) })
	assert.Panics(t, func() { Make[struct{ X [2][]int }](1) })
	assert.Panics(t, func() { Grow[int](nil, make([]int, 3), 2) })
	assert.NotPanics(t, func() { Make[item](0) })
}
