package admit

import (
	"time"

	"github.com/engram-stream/engram/internal/session"
)

// What a client that was refused is told to wait.
const (
	minRetry     = 10 * time.Millisecond
	maxRetry     = 5 * time.Second
	unknownRetry = 100 * time.Millisecond // while no rate has been measured
	retryFill    = 0.7                    // the fill that is waited for
	retryJitter  = 0.2                    // up to so much longer or shorter, so that clients do not come back together
)

// load is a reading of the budget.
type load struct {
	fill     float64 // of items or bytes, whichever is fuller
	items    int     // in use
	returned uint64  // items given back since the start
}

// admission decides whether there is room. It has no clock and reads no budget; not safe for concurrent use.
type admission struct {
	thresholds session.Thresholds
	state      session.CreditState
	drain      drain
}

func newAdmission(t session.Thresholds) *admission {
	return &admission{thresholds: t, state: session.CreditOK}
}

// observe moves the state to what a reading makes of it, and returns it.
func (a *admission) observe(now time.Time, l load) session.CreditState {
	a.drain.observe(now, l.returned, l.items)
	a.state = a.thresholds.Next(a.state, l.fill)
	return a.state
}

// retryAfter says how long what is above retryFill takes to drain; jitter is from -1 to 1.
func (a *admission) retryAfter(l load, jitter float64) time.Duration {
	wait := unknownRetry
	if a.drain.known {
		excess := float64(l.items) * (1 - retryFill/max(l.fill, retryFill))
		wait = seconds(excess, a.drain.rate)
	}
	return time.Duration(float64(wait) * (1 + retryJitter*jitter))
}

// seconds returns how long n items take at a rate, within the limits.
func seconds(n, rate float64) time.Duration {
	if n >= rate*maxRetry.Seconds() { // also when nothing drains
		return maxRetry
	}
	return max(minRetry, time.Duration(n/rate*float64(time.Second)))
}
