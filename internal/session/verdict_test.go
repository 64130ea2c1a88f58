package session

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/engram-stream/engram/internal/fault"
)

func TestVerdictOf(t *testing.T) {
	lost := errors.New("lost")
	nacked := &Refusal{Verdict: Nacked, Nack: NackSequenceGap}
	cases := map[string]struct {
		mark    uint8
		err     error
		verdict Verdict
		refusal *Refusal
	}{
		"delivered":              {0, nil, Accepted, nil},
		"delivered as rejection": {uint8(Rejected), nil, Rejected, nil},
		"refused":                {0, nacked, Nacked, nacked},
		"refused, wrapped":       {0, fmt.Errorf("admit: %w", nacked), Nacked, nacked},
		"a rejection refused":    {uint8(Rejected), nacked, Nacked, nacked},
		"superseded":             {0, ErrSuperseded, Superseded, ErrSuperseded},
		"any other error":        {0, lost, Aborted, &Refusal{Verdict: Aborted, Cause: lost}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			verdict, refusal := VerdictOf(c.mark, c.err)
			assert.Equal(t, c.verdict, verdict)
			assert.Equal(t, c.refusal, refusal)
		})
	}
}

func TestRefusalSaysWhy(t *testing.T) {
	for verdict := Accepted; verdict < verdicts; verdict++ {
		assert.NotEmpty(t, (&Refusal{Verdict: verdict}).Error())
	}
	cause := fault.New(fault.ResourceExhausted, "full")
	refusal := &Refusal{Verdict: Nacked, Cause: cause}
	assert.Equal(t, "full", refusal.Error())
	assert.ErrorIs(t, refusal, cause)
	assert.True(t, refusal.Refused())
}

func TestTallyAddsUp(t *testing.T) {
	var c Counters
	const each = 100
	var counting sync.WaitGroup
	for verdict := Accepted; verdict < verdicts; verdict++ {
		counting.Go(func() {
			c.Receive(each)
			for range each {
				c.Give(verdict)
				assert.LessOrEqual(t, c.Tally().InFlight, uint64(6*each), "never below nothing")
			}
		})
	}
	counting.Wait()
	c.Receive(3)
	assert.Equal(t, Tally{
		Offered: 6 * each, Accepted: each, Duplicate: each, Nacked: each, Rejected: each, Superseded: each, Aborted: each, InFlight: 3,
	}, c.Tally())
}

func TestFence(t *testing.T) {
	var a Attachment
	assert.False(t, a.Fenced())
	a.Fence()
	assert.True(t, a.Fenced())
}

func TestRejectedRanges(t *testing.T) {
	list := AppendRejected(nil, rejected(3, 4, "zero"), rejected(5, 5, "zero"), rejected(6, 6, "NaN"), rejected(8, 9, "NaN"))
	assert.Equal(t, []RejectedRange{rejected(3, 5, "zero"), rejected(6, 6, "NaN"), rejected(8, 9, "NaN")}, list)
	cases := map[uint64][]RejectedRange{
		0:  list,
		3:  {rejected(4, 5, "zero"), rejected(6, 6, "NaN"), rejected(8, 9, "NaN")},
		5:  {rejected(6, 6, "NaN"), rejected(8, 9, "NaN")},
		8:  {rejected(9, 9, "NaN")},
		9:  {},
		20: {},
	}
	for number, want := range cases {
		assert.Equal(t, want, above(list, number), "above %d", number)
	}
	assert.Equal(t, rejected(3, 5, "zero"), list[0], "the list itself stays as it was")
}
