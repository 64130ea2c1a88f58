package session

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWindowDecides(t *testing.T) {
	cases := map[string]struct {
		first uint64
		count int
		want  Decision
	}{
		"the next":          {5, 1, Decision{Take: 1, Expected: 6}},
		"the next few":      {5, 3, Decision{Take: 3, Expected: 8}},
		"known":             {2, 3, Decision{Skip: 3, Expected: 5}},
		"the last known":    {4, 1, Decision{Skip: 1, Expected: 5}},
		"partly known":      {3, 4, Decision{Skip: 2, Take: 2, Expected: 7}},
		"one too far":       {6, 1, Decision{Gap: true, Say: true, Expected: 5}},
		"far too far":       {500, 9, Decision{Gap: true, Say: true, Expected: 5}},
		"known, and far on": {1, 100, Decision{Skip: 4, Take: 96, Expected: 101}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := NewWindow(5)
			assert.Equal(t, c.want, w.Accept(c.first, c.count))
			assert.Equal(t, c.want.Expected, w.Expected())
		})
	}
}

func TestWindowSaysAGapOnce(t *testing.T) {
	w := NewWindow(5)
	assert.True(t, w.Accept(7, 1).Say)
	assert.False(t, w.Accept(8, 1).Say)
	w.Accept(2, 2) // a duplicate does not close the gap
	assert.False(t, w.Accept(9, 1).Say)
	expected, waiting := w.Waiting()
	assert.Equal(t, uint64(5), expected)
	assert.True(t, waiting)

	w.Accept(5, 1)
	_, waiting = w.Waiting()
	assert.False(t, waiting)
	assert.True(t, w.Accept(9, 1).Say, "a new gap is said again")
}

func TestWindowStepsBack(t *testing.T) {
	w := NewWindow(5)
	w.Accept(5, 10)
	assert.Equal(t, uint64(8), w.StepBack(8))
	assert.Equal(t, Decision{Gap: true, Expected: 8}, w.Accept(15, 1), "the refusal has told the client already")
	assert.Equal(t, uint64(8), w.StepBack(9), "only backwards")
	assert.Equal(t, Decision{Take: 2, Expected: 10}, w.Accept(8, 2))
}

// TestWindowHistory sends what a careless client might, steps back now and then, and keeps the list of what is taken:
// it holds each number once, in order, without holes.
func TestWindowHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint64Range(1, 20).Draw(t, "expected")
		w, next := NewWindow(start), start
		t.Repeat(map[string]func(*rapid.T){
			"frame": func(t *rapid.T) {
				first := rapid.Uint64Range(max(next, 8)-7, next+3).Draw(t, "first")
				count := rapid.IntRange(1, 12).Draw(t, "count")
				d := w.Accept(first, count)
				require.Equal(t, d.Gap, first > next)
				if !d.Gap {
					require.Equal(t, count, d.Skip+d.Take, "every number is known or taken")
				}
				if d.Take > 0 {
					require.Equal(t, next, first+uint64(d.Skip), "the first taken is the next")
				}
				next += uint64(d.Take)
				require.Equal(t, d.Expected, next)
			},
			"step back": func(t *rapid.T) {
				to := rapid.Uint64Range(start, next+2).Draw(t, "to")
				next = min(next, to)
				require.Equal(t, next, w.StepBack(to))
			},
		})
	})
}

// TestNackFollowsTheWindow has a storage failure step back, on another goroutine, between the reader's decision on a
// gap and its nack: in every order of the steps, the last nack that the client reads is the lowest.
func TestNackFollowsTheWindow(t *testing.T) {
	gap, storage := Nack{Expected: 10, Reason: NackSequenceGap}, Nack{Expected: 5, Reason: NackStorageUnavailable}
	tell := func(n Nack) func(*Attachment) { return func(a *Attachment) { a.Nack(n) } }
	stepBack := func(a *Attachment) { a.Window.StepBack(5) }
	orders := map[string][]func(*Attachment){
		"the failure first":  {stepBack, tell(storage), tell(gap)},
		"the failure last":   {tell(gap), stepBack, tell(storage)},
		"the gap in between": {stepBack, tell(gap), tell(storage)},
	}
	for name, steps := range orders {
		t.Run(name, func(t *testing.T) {
			a := &Attachment{Window: NewWindow(10), Outbox: NewOutbox(4)}
			require.Equal(t, gap.Expected, a.Window.Accept(12, 1).Expected)
			var last uint64
			for _, step := range steps {
				step(a)
				for _, c := range takeAll(a.Outbox) { // a writer that is as fast as can be
					last = c.Nack.Expected
				}
			}
			require.Equal(t, uint64(5), last)
		})
	}
}

func TestWindowNeverWaitsForWhatIsSettled(t *testing.T) {
	w := NewWindow(1)
	require.Equal(t, 30, w.Accept(1, 30).Take)
	require.Equal(t, uint64(1), w.StepBack(1))
	w.Settle(20)
	require.Equal(t, uint64(21), w.Expected(), "the journal has up to 20")
	_, waiting := w.Waiting()
	require.False(t, waiting, "nobody is asked for what is settled")
	require.Equal(t, uint64(21), w.StepBack(3), "what is settled is not taken back")
	require.Equal(t, Decision{Take: 5, Expected: 26}, w.Accept(21, 5))
	w.Settle(22)
	require.Equal(t, uint64(26), w.Expected(), "what is taken stays taken")
}
