package arena

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSmallArraysAreOnesOwn: whatever the sizes, and whichever were let go, an array is zero at first and nobody else writes to it.
func TestSmallArraysAreOnesOwn(t *testing.T) {
	type held struct {
		array []uint32
		piece *Piece
		mark  uint32
	}
	rapid.Check(t, func(t *rapid.T) {
		var all []held
		for i := range uint32(rapid.IntRange(1, 60).Draw(t, "arrays")) {
			array, piece := MakeSmall[uint32](rapid.SampledFrom([]int{0, 1, 2047, 2048, 2049, 3000, 40_000}).Draw(t, "size"))
			for j := range array {
				if array[j] != 0 {
					t.Fatalf("%d of %d is %d at first", j, len(array), array[j])
				}
				array[j] = i + 1
			}
			all = append(all, held{array, piece, i + 1})
			if rapid.IntRange(0, 3).Draw(t, "let go") == 0 {
				all = all[:0]
				runtime.GC()
			}
		}
		for _, h := range all {
			for j := range h.array {
				if h.array[j] != h.mark {
					t.Fatalf("%d of %d is %d, not %d", j, len(h.array), h.array[j], h.mark)
				}
			}
			runtime.KeepAlive(h.piece)
		}
	})
}

// TestAPieceIsUsedAgainAsNew: what was in it is not seen, in the pages that it shares with others too.
func TestAPieceIsUsedAgainAsNew(t *testing.T) {
	const size = leastSmall + 5*align
	b, _ := takePiece(size)
	if b == nil {
		t.Skip("there is no memory outside the heap here")
	}
	for i := range b {
		b[i] = 1
	}
	freePiece(b)
	again, piece := MakeSmall[byte](size)
	require.Same(t, &b[0], &again[0])
	require.Equal(t, make([]byte, size), again)
	runtime.KeepAlive(piece)
}

// TestSmallMemoryGoesBack: to those who ask next, and its pages to the system.
func TestSmallMemoryGoesBack(t *testing.T) {
	if _, p := MakeSmall[byte](leastSmall); p == nil {
		t.Skip("there is no memory outside the heap here")
	}
	const each, all = 64 << 10, 64 << 20
	before := resident(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 3 {
				var pieces []*Piece
				for range all / each / 4 {
					b, p := MakeSmall[byte](each)
					for i := 0; i < len(b); i += 1024 {
						b[i] = 1
					}
					pieces = append(pieces, p)
				}
				runtime.KeepAlive(pieces)
			}
		})
	}
	group.Wait()
	require.Eventually(t, func() bool {
		runtime.GC()
		return resident(t) <= before+all/4
	}, 20*time.Second, 10*time.Millisecond)
}
