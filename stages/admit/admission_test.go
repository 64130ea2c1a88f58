package admit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/session"
)

var (
	at    = session.Thresholds{SlowDownAt: 0.8, RejectAt: 0.9}
	start = time.Unix(1700000000, 0)
)

// drained returns an admission that has seen items leave at a rate a second, for a while, up to a time.
func drained(rate float64) (a *admission, now time.Time) {
	a, now = newAdmission(at), start
	for i := range 51 {
		now = start.Add(time.Duration(i) * sampleEvery)
		a.observe(now, load{fill: 0.5, items: 500, returned: uint64(rate * now.Sub(start).Seconds())})
	}
	return a, now
}

func TestRetryAfterIsTheTimeToDrain(t *testing.T) {
	cases := map[string]struct {
		rate float64
		load load
		want time.Duration
	}{
		"a fifth too full":        {1000, load{fill: 0.9, items: 900}, 200 * time.Millisecond},
		"full":                    {1000, load{fill: 1, items: 1000}, 300 * time.Millisecond},
		"full of bytes, not much": {100, load{fill: 1, items: 100}, 300 * time.Millisecond},
		"a fast drain":            {1e6, load{fill: 0.9, items: 900}, minRetry},
		"a slow drain":            {1, load{fill: 0.9, items: 900}, maxRetry},
		"no drain":                {0, load{fill: 0.9, items: 900}, maxRetry},
		"not full at all":         {1000, load{fill: 0.1, items: 100}, minRetry},
		"empty":                   {1000, load{}, minRetry},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, _ := drained(c.rate)
			assert.InEpsilon(t, c.want, a.retryAfter(c.load, 0), 0.02)
			assert.InEpsilon(t, float64(c.want)*1.2, a.retryAfter(c.load, 1), 0.02)
			assert.InEpsilon(t, float64(c.want)*0.8, a.retryAfter(c.load, -1), 0.02)
		})
	}
}

func TestRetryAfterBeforeAnyRateIsKnown(t *testing.T) {
	assert.Equal(t, unknownRetry, newAdmission(at).retryAfter(load{fill: 1, items: 1000}, 0))
}

func TestRetryAfterIsAlwaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, now := newAdmission(at), start
		l := load{}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "later")))
				l.returned += rapid.Uint64Range(0, 1<<20).Draw(t, "returned")
				l.items = rapid.IntRange(0, 1<<20).Draw(t, "items")
				l.fill = rapid.Float64Range(0, 1.5).Draw(t, "fill")
				a.observe(now, l)
				wait := a.retryAfter(l, rapid.Float64Range(-1, 1).Draw(t, "jitter"))
				require.GreaterOrEqual(t, wait, time.Duration(0.8*float64(minRetry)))
				require.LessOrEqual(t, wait, time.Duration(1.2*float64(maxRetry)))
				require.GreaterOrEqual(t, a.drain.lately(now, l.returned), 0.0)
			},
		})
	})
}

func TestDrainIsNotSlowedByIdleTime(t *testing.T) {
	a, now := drained(1000)
	returned := a.drain.returned + 500
	now = now.Add(time.Hour)
	a.observe(now, load{returned: returned}) // the first to come finds nothing there
	assert.InEpsilon(t, 1000, a.drain.rate, 0.01)
	now = now.Add(2 * sampleEvery)
	a.observe(now, load{items: 9, returned: returned + 400})
	assert.InEpsilon(t, 1180, a.drain.rate, 0.01, "the new stretch counts by its length")
}

func TestDrainFollowsAChange(t *testing.T) {
	a, now := drained(1000)
	returned := a.drain.returned
	for range 30 {
		now = now.Add(sampleEvery)
		returned += 10
		a.observe(now, load{items: 9, returned: returned})
	}
	assert.InDelta(t, 150, a.drain.rate, 10, "three seconds later a twentieth is left of the old rate")
}

func TestDrainLatelyIncludesIdleTime(t *testing.T) {
	a, now := drained(1000)
	assert.InEpsilon(t, 1000, a.drain.lately(now.Add(time.Second), a.drain.returned), 0.01)
	assert.InEpsilon(t, 25, a.drain.lately(now.Add(4*time.Second), a.drain.returned+100), 0.01)
	assert.Zero(t, a.drain.lately(now.Add(time.Minute), a.drain.returned))
	assert.Zero(t, new(drain).lately(now, 5))
}
