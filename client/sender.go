package client

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const (
	// itemOverhead is what an observation adds to its batch besides its own bytes: a tag and a length.
	itemOverhead = 1 + 5
	// frameOverhead is what a batch adds besides its items, rounded up.
	frameOverhead = 128
	// slowDownLingers is how many times longer a batch may wait while the server asks to slow down: fewer, larger ones.
	slowDownLingers = 8

	nackBackoffBase = 10 * time.Millisecond
	nackBackoffMax  = 5 * time.Second
)

// sender is the sending half of a session as a pure state machine: it numbers ops, keeps them until they are
// committed, cuts batches, obeys credit, and goes back when told to. It has no I/O, goroutine or clock, and no lock: the
// Session guards it.
//
//	settled │        in flight         │        waiting
//	────────┼──────────────────────────┼───────────────────────
//	    committed   (items[0] …)    next-1                  last()
//
// Invariants:
//  1. items[i] has the number committed+1+i; only settle removes items, and only what the server calls committed.
//  2. committed < next <= last()+1, and what was ever sent is <= sent <= last().
//  3. A frame holds consecutive numbers from next on, none above the credit.
type sender struct {
	bufferItems, bufferBytes int           // bounds of items
	maxBatch                 int           // items a batch
	maxFrame                 int           // bytes a batch
	linger                   time.Duration // how long the first item of a batch waits for more

	items     []item
	settled   uint64 // bytes of everything up to committed, counted over the session
	committed uint64
	next      uint64
	sent      uint64
	flushTo   uint64 // up to here linger does not apply

	// Of the current stream.
	sequenceLimit uint64
	byteLimit     uint64 // 0: none
	streamStart   uint64 // bytes settled when the stream began; byteLimit counts from here
	slow          bool
	holdUntil     time.Time
	nackStreak    int // nacks without progress

	stats SessionStats
}

// item is one op in the buffer: an observation or a forget.
type item struct {
	observe *engramv1.Observation
	forget  *engramv1.ForgetTarget
	bytes   int
	end     uint64 // bytes of everything up to and with this item, counted over the session
	queued  time.Time
	pending *Pending
}

// field names the argument that an item came from.
func (it *item) field() string {
	if it.forget != nil {
		return "ids"
	}
	return "observation"
}

// frame is what goes out at once: observations from first on, or one forget.
type frame struct {
	first        uint64
	observations []*engramv1.Observation
	forget       *engramv1.ForgetTarget
}

func (f *frame) empty() bool { return len(f.observations) == 0 && f.forget == nil }

// begin sets the numbering of a session whose server has committed everything up to through.
func (s *sender) begin(through uint64) {
	s.committed, s.sent, s.next = through, through, through+1
}

func (s *sender) last() uint64 { return s.committed + uint64(len(s.items)) }

func (s *sender) buffered() int { return int(s.lastEnd() - s.settled) }

func (s *sender) lastEnd() uint64 {
	if n := len(s.items); n > 0 {
		return s.items[n-1].end
	}
	return s.settled
}

// largest is the most bytes that one item may have to fit a frame.
func (s *sender) largest() int { return s.maxFrame - frameOverhead - itemOverhead }

// room reports whether the buffer takes an item of so many bytes. An empty one takes any.
func (s *sender) room(bytes int) bool {
	return len(s.items) == 0 || len(s.items) < s.bufferItems && s.buffered()+bytes <= s.bufferBytes
}

// push gives the item its number. wake reports whether the writer has something new to decide.
func (s *sender) push(it item) (number uint64, wake bool) {
	it.end = s.lastEnd() + uint64(it.bytes)
	s.items = append(s.items, it)
	return s.last(), s.waiting() == 1 || s.fillsFrame()
}

// waiting counts the items that have a number and are not on the wire.
func (s *sender) waiting() int { return int(s.last() - s.next + 1) }

// fillsFrame reports whether what waits is enough for a full batch, by items or by bytes.
func (s *sender) fillsFrame() bool {
	bytes := s.buffered()
	if i := s.next - s.committed - 1; i > 0 {
		bytes = int(s.lastEnd() - s.items[i-1].end)
	}
	n := s.waiting()
	return n >= s.maxBatch || frameOverhead+bytes+n*itemOverhead >= s.maxFrame
}

// flush lifts linger for everything numbered so far.
func (s *sender) flush() { s.flushTo = s.last() }

// frame returns what to send now and counts it as sent. When that is nothing, at tells when to ask again; the zero time
// means: not before something else happens.
func (s *sender) frame(now time.Time) (f frame, at time.Time) {
	if s.next > s.last() {
		return frame{}, time.Time{}
	}
	if now.Before(s.holdUntil) {
		return frame{}, s.holdUntil
	}
	if at := s.dueAt(); now.Before(at) {
		return frame{}, at
	}
	f = s.cut()
	s.count(&f)
	return f, time.Time{}
}

// dueAt returns when the waiting items are to go out; the zero time means now.
func (s *sender) dueAt() time.Time {
	if s.next <= max(s.sent, s.flushTo) || s.fillsFrame() {
		return time.Time{}
	}
	linger := s.linger
	if s.slow {
		linger *= slowDownLingers
	}
	return s.items[s.next-s.committed-1].queued.Add(linger)
}

// cut takes the longest run from next on that fits a frame and the credit.
func (s *sender) cut() frame {
	f := frame{first: s.next}
	bytes := frameOverhead
	waiting := s.items[s.next-s.committed-1:]
	for i := range waiting {
		it := &waiting[i]
		bytes += it.bytes + itemOverhead
		switch {
		case i == s.maxBatch, i > 0 && bytes > s.maxFrame, !s.credited(s.next+uint64(i), it):
			return f
		case it.forget != nil && i > 0:
			return f
		case it.forget != nil:
			f.forget = it.forget
			return f
		}
		f.observations = append(f.observations, it.observe)
	}
	return f
}

// credited reports whether the credit covers the item. Bytes are counted by position, like numbers: sending an item again
// costs nothing anew, so going back can never use the credit up.
func (s *sender) credited(number uint64, it *item) bool {
	if number > s.sequenceLimit {
		return false
	}
	if s.byteLimit == 0 || it.end-s.streamStart <= s.byteLimit {
		return true
	}
	// With nothing in flight no ack will come that could raise the limit: one item that exceeds what is left must go.
	used := it.end - uint64(it.bytes) - s.streamStart
	return number == s.committed+1 && used < s.byteLimit
}

func (s *sender) count(f *frame) {
	n := uint64(len(f.observations))
	if f.forget != nil {
		n = 1
	}
	through := f.first + n - 1
	s.stats.Sent += n
	if f.first <= s.sent {
		s.stats.Resent += min(through, s.sent) - f.first + 1
	}
	s.next = through + 1
	s.sent = max(s.sent, through)
}

// settle takes everything up to through out of the buffer and tells what became of each.
func (s *sender) settle(through uint64, rejected []RejectedError, tell func(it *item, refused *RejectedError)) error {
	if through > s.sent {
		return protocolError("the server acknowledges number %d, but only %d were sent: another program wrote to this session", through, s.sent)
	}
	if through <= s.committed {
		return nil
	}
	slices.SortFunc(rejected, func(a, b RejectedError) int { return cmp.Compare(a.First, b.First) })
	done := s.items[:through-s.committed]
	for i := range done {
		number := s.committed + 1 + uint64(i)
		for len(rejected) > 0 && rejected[0].Last < number {
			rejected = rejected[1:]
		}
		var refused *RejectedError
		if len(rejected) > 0 && rejected[0].First <= number {
			refused = &RejectedError{First: number, Last: number, Code: rejected[0].Code, Reason: rejected[0].Reason, Field: rejected[0].Field}
			s.stats.Rejected++
		} else {
			s.stats.Committed++
		}
		tell(&done[i], refused)
	}
	s.settled = done[len(done)-1].end
	clear(done) // let the payloads go
	s.items = s.items[len(done):]
	s.committed = through
	s.next = max(s.next, through+1)
	s.nackStreak = 0
	return nil
}

// nack goes back (or, after a nack that a resend crossed, forward) to expected, and waits for retryAfter.
func (s *sender) nack(expected uint64, retryAfter time.Duration, now time.Time) error {
	if expected > s.sent+1 {
		return protocolError("the server expects number %d, but only %d were sent: another program wrote to this session", expected, s.sent)
	}
	expected = max(expected, s.committed+1)
	if expected < s.next {
		s.stats.Nacked += s.next - expected
	}
	s.next = expected
	// A server that refuses again and again, and does not say for how long, must not be hammered.
	if retryAfter <= 0 && s.nackStreak > 0 {
		retryAfter = min(nackBackoffBase<<min(s.nackStreak-1, 16), nackBackoffMax)
	}
	s.nackStreak++
	s.holdUntil = now.Add(retryAfter)
	return nil
}

// credit takes over what the server allows. Limits only grow within a stream.
func (s *sender) credit(c *engramv1.Credit, now time.Time) {
	s.sequenceLimit = max(s.sequenceLimit, c.GetSequenceLimit())
	s.byteLimit = max(s.byteLimit, c.GetByteLimit())
	s.slow = c.GetState() == engramv1.Credit_STATE_SLOW_DOWN
	if c.GetState() == engramv1.Credit_STATE_BUFFER_FULL {
		if until := now.Add(c.GetRetryAfter().AsDuration()); until.After(s.holdUntil) {
			s.holdUntil = until
		}
	}
}

// detach notes that the stream is gone, with the fate of what was in flight unknown.
func (s *sender) detach() {
	s.sequenceLimit, s.byteLimit = 0, 0
	s.slow, s.holdUntil = false, time.Time{}
}

// resume begins a new stream whose server has committed everything up to through: that leaves the buffer, and the rest is
// sent again.
func (s *sender) resume(through uint64, rejected []RejectedError, tell func(it *item, refused *RejectedError)) error {
	if through < s.committed {
		return serverBehind(s.committed, through)
	}
	inFlight := s.next - 1 - s.committed
	recovered := through - s.committed
	if err := s.settle(through, rejected, tell); err != nil {
		return err
	}
	s.stats.Recovered += recovered
	s.stats.Lost += inFlight - min(inFlight, recovered)
	s.next = through + 1
	s.streamStart = s.settled
	s.detach()
	return s.checkSizes()
}

// checkSizes fails when the buffer holds an item that the server, started anew with other limits, would not take.
func (s *sender) checkSizes() error {
	for i := range s.items {
		if s.items[i].bytes > s.largest() {
			return &Error{Op: "resume session", Code: connect.CodeFailedPrecondition, Reason: reasonTooLarge, Message: fmt.Sprintf(
				"observation %d has %d bytes, the server now takes %d", s.committed+1+uint64(i), s.items[i].bytes, s.largest())}
		}
	}
	return nil
}
