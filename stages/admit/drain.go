package admit

import (
	"math"
	"time"
)

// The times of the drain meter.
const (
	sampleEvery = 100 * time.Millisecond // the shortest stretch that a rate is taken over
	rateMemory  = time.Second            // after which an old rate weighs 1/e
	idleAfter   = 2 * time.Second        // without a sample, the rate is what left since the last one
)

// drain measures how fast items leave the process, in items a second. What counts is how fast they can leave: only
// stretches are measured through which something was there to leave, so that idle time does not slow the estimate.
type drain struct {
	rate  float64
	known bool

	since    time.Time // the start of the stretch being measured
	returned uint64    // the count of items that had left at since
}

// observe looks at the count of items that have left and at how many are there now. It must be called at each time
// that items come, before they are counted as there.
func (d *drain) observe(now time.Time, returned uint64, there int) {
	if there == 0 || d.since.IsZero() {
		d.since, d.returned = now, returned
		return
	}
	elapsed := now.Sub(d.since)
	if elapsed < sampleEvery {
		return
	}
	sample := float64(returned-d.returned) / elapsed.Seconds()
	weight := 1.0
	if d.known {
		weight = 1 - math.Exp(-elapsed.Seconds()/rateMemory.Seconds())
	}
	d.rate += weight * (sample - d.rate)
	d.known, d.since, d.returned = true, now, returned
}

// lately returns what has left a second in the last while, idle time included.
func (d *drain) lately(now time.Time, returned uint64) float64 {
	if elapsed := now.Sub(d.since); !d.since.IsZero() && elapsed > idleAfter {
		return float64(returned-d.returned) / elapsed.Seconds()
	}
	return d.rate
}
