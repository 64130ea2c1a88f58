package session

import (
	"sync"
	"time"

	"github.com/engram-stream/engram/internal/memory"
)

// The limits of an outbox.
const (
	// maxAckPoints is how many acks wait apart; later ones merge into the last, which loses nothing as acks are cumulative.
	maxAckPoints = 16
	// maxRejectedRanges is how many ranges of rejected numbers wait. It covers two full batches with every other item
	// rejected. Beyond it the outbox overflows: see Outbox.
	maxRejectedRanges = 2 * memory.MaxBatch
)

// Outbox collects the control frames of one attachment for its one writer: stages and transports put in, the writer
// takes out. It never blocks and never grows past its limits. Safe for concurrent use.
//
// Nothing is dropped but by a newer frame that says as much: acks merge, of credits the furthest counts, of pongs the
// newest, and of nacks the lowest expected number with the weightiest reason. Within what waits, acks leave first,
// then the nack, credit, the pong and last the go-away.
//
// Rejected numbers cannot be left out of an ack without calling them accepted. An attachment whose client reads so
// slowly that more than maxRejectedRanges ranges wait therefore overflows: it acks no further and is told to go away
// (REBALANCE: resume at once). On resume the journal tells what was rejected.
type Outbox struct {
	ready chan struct{} // holds a token when there may be something to take

	mu         sync.Mutex
	accepted   uint64         // guarded by mu; at least committed
	committed  uint64         // guarded by mu; monotone; of the newest ack, told or waiting
	version    memory.Version // guarded by mu; at committed
	points     []Ack          // guarded by mu; rising Committed, at most maxAckPoints; Accepted is filled when taken
	ranges     int            // guarded by mu; rejected ranges in points
	overflowed bool           // guarded by mu
	again      bool           // guarded by mu; repeat the current ack
	nack       *Nack          // guarded by mu
	credit     *Credit        // guarded by mu
	pong       *Pong          // guarded by mu
	goAway     *GoAway        // guarded by mu
	gone       GoAwayReason   // guarded by mu; of the last GoAway, told or waiting
}

// NewOutbox returns an empty outbox for a session of which everything up to committed is settled and told.
func NewOutbox(committed uint64) *Outbox {
	return &Outbox{ready: make(chan struct{}, 1), accepted: committed, committed: committed}
}

// Ready gets a token after something was put in. After taking one, call Next until it has nothing more.
func (o *Outbox) Ready() <-chan struct{} { return o.ready }

// Committed returns the number up to which everything is settled; the acks that say so may still be waiting.
func (o *Outbox) Committed() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.committed
}

// Accept notes that everything up to through is in memory, in order. It goes out with the next ack, not by itself.
func (o *Outbox) Accept(through uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepted = max(o.accepted, through)
}

// Reply adds an ack. One that reaches no further than the last changes nothing.
func (o *Outbox) Reply(r Reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Through <= o.committed || o.overflowed {
		return
	}
	fresh := above(r.Rejected, o.committed)
	if o.ranges+len(fresh) > maxRejectedRanges {
		o.overflowed = true
		o.goAwayLocked(GoAwayRebalance, 0)
		return
	}
	o.committed, o.version, o.again = r.Through, r.Version, false
	o.accepted = max(o.accepted, r.Through)
	o.addPointLocked(fresh, r.Matched)
	o.signal()
}

func (o *Outbox) addPointLocked(rejected []RejectedRange, matched uint64) {
	if len(o.points) < maxAckPoints {
		o.points = append(o.points, Ack{})
	}
	last := &o.points[len(o.points)-1]
	o.ranges -= len(last.Rejected)
	last.Committed, last.Version, last.Rejected = o.committed, o.version, AppendRejected(last.Rejected, rejected...)
	o.ranges += len(last.Rejected)
	last.Matched += matched
}

// Again repeats the current ack, for a client that sends what is known already. An ack that waits does as well.
func (o *Outbox) Again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.points) == 0 {
		o.again = true
		o.signal()
	}
}

// Nack adds a nack. What it takes back is no longer accepted.
func (o *Outbox) Nack(n Nack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepted = max(o.committed, min(o.accepted, max(n.Expected, 1)-1))
	if o.nack != nil {
		n = mergeNacks(*o.nack, n)
	}
	o.nack = &n
	o.signal()
}

// Grant adds credit. Limits below those of a credit that waits are raised to them.
func (o *Outbox) Grant(c Credit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.credit != nil {
		c.SequenceLimit = max(c.SequenceLimit, o.credit.SequenceLimit)
		c.ByteLimit = max(c.ByteLimit, o.credit.ByteLimit)
	}
	o.credit = &c
	o.signal()
}

// Pong adds the answer to a ping, or with nonce 0 a heartbeat; an answer that waits is a heartbeat too.
func (o *Outbox) Pong(nonce uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if nonce != 0 || o.pong == nil {
		o.pong = &Pong{Nonce: nonce}
	}
	o.signal()
}

// GoAway tells the client to leave, once a reason. After FENCED nothing else is told, as a client must not resume then.
func (o *Outbox) GoAway(reason GoAwayReason, reconnect time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.goAwayLocked(reason, reconnect)
}

func (o *Outbox) goAwayLocked(reason GoAwayReason, reconnect time.Duration) {
	if o.gone == reason || o.gone == GoAwayFenced {
		return
	}
	o.gone = reason
	o.goAway = &GoAway{Reason: reason, Reconnect: reconnect}
	o.signal()
}

// Next takes the next frame, if there is one. What it points at is the caller's.
func (o *Outbox) Next() (Control, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var c Control
	switch {
	case len(o.points) > 0 || o.again:
		c.Ack = o.takeAckLocked()
	case o.nack != nil:
		c.Nack, o.nack = o.nack, nil
		// What is settled by now, the client has let go of.
		c.Nack.Expected = max(c.Nack.Expected, o.committed+1)
	case o.credit != nil:
		c.Credit, o.credit = o.credit, nil
	case o.pong != nil:
		c.Pong, o.pong = o.pong, nil
	case o.goAway != nil:
		c.GoAway, o.goAway = o.goAway, nil
		c.GoAway.Committed = o.committed
	default:
		return c, false
	}
	return c, true
}

func (o *Outbox) takeAckLocked() *Ack {
	a := Ack{Committed: o.committed, Version: o.version}
	if len(o.points) > 0 {
		a = o.points[0]
		n := copy(o.points, o.points[1:])
		o.points[n] = Ack{}
		o.points = o.points[:n]
		o.ranges -= len(a.Rejected)
	}
	a.Accepted = max(o.accepted, a.Committed)
	o.again = false
	return &a
}

func (o *Outbox) signal() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// nackWeights orders the reasons by what they demand of the client: a gap is but the consequence of the others.
var nackWeights = [...]int{
	NackSequenceGap:        0,
	NackResourceExhausted:  1,
	NackCreditExceeded:     2,
	NackStorageUnavailable: 3,
}

func mergeNacks(old, newer Nack) Nack {
	merged := newer
	if nackWeights[old.Reason] > nackWeights[newer.Reason] {
		merged = old
	}
	merged.Expected = min(old.Expected, newer.Expected)
	return merged
}
