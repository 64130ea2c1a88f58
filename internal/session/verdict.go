package session

import (
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// Verdict is what became of one received item. Each gets exactly one.
type Verdict uint8

// The verdicts.
const (
	Accepted   Verdict = iota + 1 // durable and findable
	Duplicate                     // known already: its number had been consumed
	Nacked                        // not taken now, no number consumed; what a gap discards included
	Rejected                      // refused for good; its number is consumed and the refusal stored
	Superseded                    // sent under an old epoch
	Aborted                       // the stream or the server ended before a verdict
	verdicts
)

// NackReason says why an item was nacked; the numbers are those of engram.v1.Nack.Reason.
type NackReason uint8

// The reasons for a nack.
const (
	NackResourceExhausted  NackReason = 1
	NackSequenceGap        NackReason = 2
	NackCreditExceeded     NackReason = 3
	NackStorageUnavailable NackReason = 4
)

// Refusal is the error with which a stage rejects an item: any verdict but Accepted and Rejected.
type Refusal struct {
	Verdict  Verdict
	Nack     NackReason    // for Nacked
	Expected uint64        // for Nacked: the next number that the session takes
	Retry    time.Duration // for Nacked by overload
	Fill     float64       // for Nacked by overload: how full the queue is, 0 to 1
	Cause    error         // may be nil
	Late     bool          // for Nacked: the numbers were taken before, so the window has to step back and the client to be told

	// For a Duplicate found by the journal: when the original is durable, its last version, and, of a unary call, what it
	// had rejected: nil for nothing, else to be called once the original is durable.
	Durable  memory.Durability
	Version  memory.Version
	Rejected func() ([]RejectedRange, error)
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Cause != nil {
		return r.Cause.Error()
	}
	switch r.Verdict {
	case Nacked:
		if r.Nack == NackSequenceGap {
			return "a number before it is missing; send again from the expected one"
		}
	case Duplicate:
		return "duplicate"
	case Superseded:
		return "superseded: a newer stream has taken the session over"
	case Aborted:
		return "aborted"
	}
	return "not taken"
}

// Refused says, as graph.Refuser, that a refusal is no failure of the stage that returns it.
func (r *Refusal) Refused() bool { return true }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// VerdictOf names the verdict of a settled item: its mark when it was delivered (Rejected, or Accepted when there is
// none), its refusal otherwise. An error of any other kind counts as aborted.
func VerdictOf(mark uint8, err error) (Verdict, *Refusal) {
	if err == nil {
		if v := Verdict(mark); v == Rejected {
			return Rejected, nil
		}
		return Accepted, nil
	}
	if r, ok := asRefusal(err); ok {
		return r.Verdict, r
	}
	return Aborted, &Refusal{Verdict: Aborted, Cause: err}
}

// Counters counts received items and their verdicts since the start of the process. Received minus the sum of the
// verdicts is what is in flight; when nothing is, it is zero. Safe for concurrent use.
type Counters struct {
	received atomic.Uint64
	given    [verdicts]atomic.Uint64
}

// Receive counts n items as received; call it before they are offered.
func (c *Counters) Receive(n int) { c.received.Add(uint64(n)) }

// Give counts one verdict.
func (c *Counters) Give(v Verdict) { c.given[v].Add(1) }

// Tally is a reading of Counters. Offered is the sum of the verdicts; InFlight what has none yet.
type Tally struct {
	Offered, Accepted, Duplicate, Nacked, Rejected, Superseded, Aborted, InFlight uint64
}

// Tally reads the counters. The verdicts are read before the received items, so InFlight never underflows.
func (c *Counters) Tally() Tally {
	t := Tally{
		Accepted: c.given[Accepted].Load(), Duplicate: c.given[Duplicate].Load(), Nacked: c.given[Nacked].Load(),
		Rejected: c.given[Rejected].Load(), Superseded: c.given[Superseded].Load(), Aborted: c.given[Aborted].Load(),
	}
	t.Offered = t.Accepted + t.Duplicate + t.Nacked + t.Rejected + t.Superseded + t.Aborted
	t.InFlight = c.received.Load() - t.Offered
	return t
}

// ErrSuperseded rejects an item of an old epoch.
var ErrSuperseded = &Refusal{Verdict: Superseded, Cause: fault.New(fault.Aborted,
	"a newer stream has taken the session over").WithReason("FENCED")}
