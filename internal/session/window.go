package session

import "sync"

// Window numbers the ops of one attachment: it knows E, the next number expected, and decides what a run of numbers
// is to it. The journal decides again, for good, when it appends. Safe for concurrent use.
type Window struct {
	mu       sync.Mutex
	expected uint64 // guarded by mu; at least settled+1
	settled  uint64 // guarded by mu; up to here the journal has it for good
	gapSaid  bool   // guarded by mu: the client has been told to go back to expected
}

// NewWindow returns a window whose next expected number is expected (>= 1).
func NewWindow(expected uint64) *Window { return &Window{expected: expected} }

// Decision is what a window makes of a run of numbers: the first Skip of them are known already, the next Take are
// new and now accepted. A Gap takes none; Say asks for one Nack(SEQUENCE_GAP, Expected).
type Decision struct {
	Skip     int
	Take     int
	Gap      bool
	Say      bool
	Expected uint64 // the next expected number after this decision
}

// Accept decides on the run first, first+1, … of count numbers (first >= 1, count >= 1) and advances over what it takes.
func (w *Window) Accept(first uint64, count int) Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	if first > w.expected {
		say := !w.gapSaid
		w.gapSaid = true
		return Decision{Gap: true, Say: say, Expected: w.expected}
	}
	skip := min(w.expected-first, uint64(count))
	take := uint64(count) - skip
	w.expected += take
	if take > 0 {
		w.gapSaid = false
	}
	return Decision{Skip: int(skip), Take: int(take), Expected: w.expected}
}

// StepBack takes back numbers from to on, after a refusal, and returns the number then expected. The refusal's own
// Nack tells the client, so the gap that follows is not said again. A number above the expected one changes nothing.
func (w *Window) StepBack(to uint64) (expected uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to = max(to, w.settled+1)
	if to < w.expected {
		w.expected = to
		w.gapSaid = true
	}
	return w.expected
}

// Settle notes that everything up to through is durable, so that it is not expected any more. A refusal may come so
// late that it steps back below what the client has sent again meanwhile; once that is acked, the client has let go of
// it, and a window that still waited for it would wait for ever.
func (w *Window) Settle(through uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settled = max(w.settled, through)
	if w.expected <= through {
		w.expected = through + 1
		w.gapSaid = false
	}
}

// Expected returns the next number expected.
func (w *Window) Expected() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.expected
}

// Waiting reports whether the client has been told to go back and has not yet; the nack is repeated on heartbeats.
func (w *Window) Waiting() (expected uint64, waiting bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.expected, w.gapSaid
}
