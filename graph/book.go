package graph

import (
	"errors"
	"sync"
	"time"
)

// ErrNotStarted says that an item was offered before Start.
var ErrNotStarted = errors.New("not started")

type phase uint8

const (
	phaseBuilt phase = iota
	phaseRunning
	phaseDraining
)

// book lists the open ledgers in the order of their offers, and counts the offers in progress.
type book struct {
	mu         sync.Mutex
	phase      phase         // guarded by mu; only rises
	offering   int           // guarded by mu; Offer calls in progress
	quiet      chan struct{} // guarded by mu; made when draining, closed when no Offer is in progress
	head, tail *ledger       // guarded by mu
	length     int           // guarded by mu
}

// start lets offers in; false when it did so before.
func (b *book) start() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase != phaseBuilt {
		return false
	}
	b.phase = phaseRunning
	return true
}

// drain lets no more offers in and returns a channel that is closed when those in progress have ended.
func (b *book) drain() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.phase = phaseDraining
	if b.quiet == nil {
		b.quiet = make(chan struct{})
		if b.offering == 0 {
			close(b.quiet)
		}
	}
	return b.quiet
}

// enter counts an offer in, or says why it cannot come in.
func (b *book) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.phase {
	case phaseBuilt:
		return ErrNotStarted
	case phaseDraining:
		return ErrDraining
	}
	b.offering++
	return nil
}

func (b *book) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offering--
	if b.offering == 0 && b.quiet != nil {
		close(b.quiet)
	}
}

func (b *book) add(l *ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.prev = b.tail
	if b.tail == nil {
		b.head = l
	} else {
		b.tail.next = l
	}
	b.tail = l
	b.length++
}

func (b *book) remove(l *ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.prev == nil {
		b.head = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		b.tail = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.prev, l.next = nil, nil
	b.length--
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.length
}

// oldest returns up to n open ledgers, the oldest first; all of them for n < 0.
func (b *book) oldest(n int) []*ledger {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 || n > b.length {
		n = b.length
	}
	out := make([]*ledger, 0, n)
	for l := b.head; len(out) < n; l = l.next {
		out = append(out, l)
	}
	return out
}

// OldOffer is an offer that is not settled yet.
type OldOffer struct {
	Age  time.Duration
	Open int    // items without a verdict
	Node string // where the first of them is; its queue counts as the node
}

// Oldest returns up to n offers that are not settled yet, the oldest first. Safe for concurrent use.
func (e *Engine) Oldest(n int) []OldOffer {
	var out []OldOffer
	for _, l := range e.book.oldest(max(n, 0)) {
		old := OldOffer{Age: time.Since(l.since)}
		for i := range l.items {
			at := l.items[i].place()
			if at == settled || at == abandoned {
				continue
			}
			if old.Open == 0 {
				old.Node = e.nameOf(at)
			}
			old.Open++
		}
		if old.Open > 0 {
			out = append(out, old)
		}
	}
	return out
}
