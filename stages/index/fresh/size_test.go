package fresh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBytesAreThoseOfTheBlocks: with and without 1-bit codes, and when codes have been let go.
func TestBytesAreThoseOfTheBlocks(t *testing.T) {
	for n, released := range map[int]Slot{0: 0, 1: 0, 100: 0, 5000: 0, 20_000: 9000, 40_000: 40_000} {
		tier := scanned(n)
		tier.Release(released)
		var wantCodes, wantRecords int
		for _, b := range tier.directory.Load().blocks {
			wantRecords += 40 * len(b.records)
			wantCodes += len(b.codes)
			if b.codes != nil {
				wantCodes += len(b.factors) * 8
			}
			if b.coarse != nil {
				wantCodes += len(b.records)*8*tier.scheme.Words() + 4*columns*len(b.records)
			}
		}
		codes, records := tier.Bytes()
		require.Equal(t, wantRecords, records, n)
		require.Equal(t, wantCodes, codes, n)
	}
}
