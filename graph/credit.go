package graph

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/engram-stream/engram/internal/fault"
)

// credit is an edge's window. Senders take credit for a batch when it is enqueued and it is given back when the
// downstream takes the batch. Waiting senders are served in the order they came, so a large batch is not starved by
// small ones. Safe for concurrent use.
type credit struct {
	edge  string // the node the edge leads to; for errors
	limit Window

	mu      sync.Mutex
	used    Window        // guarded by mu; never beyond limit
	waiters []*creditWait // guarded by mu; one a blocked sender, first come first
	dead    error         // guarded by mu; once set, every take returns it
}

type creditWait struct {
	need  Window
	ready chan struct{} // closed when the credit has been taken for the waiter, or the window is dead
	err   error         // set before ready is closed
}

func newCredit(edge string, limit Window) *credit { return &credit{edge: edge, limit: limit} }

// tryTake takes credit without waiting: ErrNoCredit when there is none now, another error when there never will be.
func (c *credit) tryTake(w Window) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tryTakeLocked(w)
}

func (c *credit) tryTakeLocked(w Window) error {
	switch {
	case c.dead != nil:
		return c.dead
	case w.Items > c.limit.Items || w.Bytes > c.limit.Bytes:
		return c.neverFits(w)
	case len(c.waiters) > 0 || !c.fitsLocked(w):
		return ErrNoCredit
	}
	c.used = c.used.plus(w)
	return nil
}

// take takes credit, waiting for it until ctx ends or the window dies.
func (c *credit) take(ctx context.Context, w Window) error {
	c.mu.Lock()
	err := c.tryTakeLocked(w)
	if !errors.Is(err, ErrNoCredit) {
		c.mu.Unlock()
		return err
	}
	wait := &creditWait{need: w, ready: make(chan struct{})}
	c.waiters = append(c.waiters, wait)
	c.mu.Unlock()

	select {
	case <-wait.ready:
		return wait.err
	case <-ctx.Done():
		return c.giveUp(wait, context.Cause(ctx))
	}
}

// giveUp withdraws a waiter, unless it was served in the meantime.
func (c *credit) giveUp(wait *creditWait, cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.waiters, wait)
	if i < 0 {
		return wait.err
	}
	c.waiters = slices.Delete(c.waiters, i, i+1)
	c.serveLocked()
	return cause
}

// give returns credit and serves the waiters that now fit.
func (c *credit) give(w Window) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = c.used.minus(w)
	c.serveLocked()
}

func (c *credit) serveLocked() {
	n := 0
	for _, wait := range c.waiters {
		if !c.fitsLocked(wait.need) {
			break
		}
		c.used = c.used.plus(wait.need)
		close(wait.ready)
		n++
	}
	c.waiters = slices.Delete(c.waiters, 0, n)
}

// kill makes every take, waiting or to come, return the reason.
func (c *credit) kill(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = reason
	for _, wait := range c.waiters {
		wait.err = reason
		close(wait.ready)
	}
	c.waiters = nil
}

// depth returns the credit in use: what is queued on the edge.
func (c *credit) depth() Window {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

func (c *credit) fitsLocked(w Window) bool {
	return c.used.Items+w.Items <= c.limit.Items && c.used.Bytes+w.Bytes <= c.limit.Bytes
}

func (c *credit) neverFits(w Window) error {
	return fault.New(fault.InvalidArgument, "a batch of %s never fits the edge into %q, whose window is %s",
		w, c.edge, c.limit).WithHint("send smaller batches, or widen the window")
}
