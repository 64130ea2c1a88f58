package client

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A report names a rejection that nobody was told, as long as it knows one, and counts the others.
func TestAReportNamesWhatNobodyWasTold(t *testing.T) {
	r := newRefusals()
	pending := make([]*Pending, 100)
	for i := range pending {
		number := uint64(i + 1)
		pending[i] = &Pending{sequence: number, round: r.round}
		r.add(&RejectedError{First: number, Last: number})
	}
	r.told(pending[0])
	r.told(pending[2])
	var e *RejectedError
	require.ErrorAs(t, r.take(), &e)
	assert.Equal(t, uint64(2), e.First)
	assert.Equal(t, 97, e.More)
	require.NoError(t, r.take(), "once")

	r.told(pending[5]) // after the report, which counted it
	r.add(&RejectedError{First: 101, Last: 103})
	require.ErrorAs(t, r.take(), &e)
	assert.Equal(t, uint64(101), e.First)
	assert.Zero(t, e.More)
	assert.Less(t, len(r.examples), maxUntold)
}
