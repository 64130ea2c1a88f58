package fresh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every slot has one place, and the places of a block are all used before the next block begins.
func TestLocateFillsBlockAfterBlock(t *testing.T) {
	slot := Slot(0)
	for block := range doublings + 3 {
		for offset := range blockSize(block) {
			gotBlock, gotOffset := locate(slot)
			require.Equal(t, [2]int{block, offset}, [2]int{gotBlock, gotOffset}, "slot %d", slot)
			slot++
		}
	}
	require.Equal(t, largestBlock, blockSize(doublings+1))
}

func TestLocateTheLastSlot(t *testing.T) {
	block, offset := locate(None - 1)
	require.Less(t, offset, largestBlock)
	require.LessOrEqual(t, block, doublings+largestBlocks, "within what growTo may build, or just refused by it")
}
