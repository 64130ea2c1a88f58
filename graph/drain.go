package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// reportEvery is how often a drain says what it still waits for.
const reportEvery = 5 * time.Second

// closeGrace is what closing has at least, when ctx has ended before it: a goroutine that was just told to stop needs a
// moment to see it, and a Close that does not hang to return.
const closeGrace = 100 * time.Millisecond

// Residue is what a drain had to leave: empty when every item was done.
type Residue struct {
	Left []Left // in topological order
}

// Left is what was left at one node.
type Left struct {
	Node   string
	Queued int           // items waiting on the edge into it
	Inside int           // items in its code or held by it
	Oldest time.Duration // age of the oldest of them
	Stuck  bool          // its code had not returned when the time ran out
}

// Items returns how many items were left in all.
func (r Residue) Items() int {
	n := 0
	for _, l := range r.Left {
		n += l.Queued + l.Inside
	}
	return n
}

// String renders `"journal": 12 queued, 3 inside, oldest 4.2s; …`, or "nothing".
func (r Residue) String() string {
	if len(r.Left) == 0 {
		return "nothing"
	}
	parts := make([]string, len(r.Left))
	for i, l := range r.Left {
		parts[i] = fmt.Sprintf("%q: %d queued, %d inside, oldest %s", l.Node, l.Queued, l.Inside, l.Oldest.Round(time.Millisecond))
		if l.Stuck {
			parts[i] += ", stuck"
		}
	}
	return strings.Join(parts, "; ")
}

// Drain ends the graph: offers get ErrDraining, edges close in topological order, holders are flushed, every item is
// settled, stages are closed. When ctx has a deadline, at three quarters of the time to it (else when ctx ends) what
// is left is cancelled and rejected, and the Residue names it; a stage that has not returned when ctx ends is given
// up and not closed, and so is a Close (both have closeGrace at least). Later calls wait for the first and return the same.
func (e *Engine) Drain(ctx context.Context) (Residue, error) {
	first, drained := e.beginDrain()
	if !first {
		select {
		case <-drained:
			return e.residue, e.ending
		case <-ctx.Done():
			return Residue{}, context.Cause(ctx)
		}
	}
	e.residue, e.ending = e.drain(ctx)
	close(drained)
	return e.residue, e.ending
}

func (e *Engine) beginDrain() (first bool, drained chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.drained == nil {
		e.drained, first = make(chan struct{}), true
	}
	return first, e.drained
}

func (e *Engine) drain(ctx context.Context) (Residue, error) {
	quiet := e.book.drain()
	if len(e.opened) == 0 { // never started, or not for long
		return Residue{}, nil
	}
	soft, release := softDeadline(ctx)
	defer release()

	var residue Residue
	var err error
	if !e.windDown(soft, quiet) {
		residue = e.left()
		reason := fault.Wrap(fault.Unavailable, ErrStopped, "the drain ran out of time").WithHint("send it again to the next server")
		e.kill(reason)
		err = fault.New(fault.DeadlineExceeded, "drain ran out of time with %d items left: %s", residue.Items(), residue)
		if !e.windDown(ctx, quiet) {
			residue.Left = markStuck(residue.Left, e.hosts)
			e.settleRest(func(l *ledger, i int) { l.abandon(i, Outcome{Err: reason}) })
			return residue, errors.Join(err, e.closeOpened(ctx, e.ended(quiet)))
		}
	}
	e.settleRest(func(l *ledger, i int) {
		l.settle(i, Outcome{Err: fault.Wrap(fault.Internal, ErrLost, "the graph ended with the item in it")})
	})
	e.workers.Wait()
	e.cancel(ErrDraining)
	return residue, errors.Join(err, e.failure(err), e.closeOpened(ctx, e.opened))
}

// failure returns why the graph was stopped, if that was not the drain's own doing.
func (e *Engine) failure(drain error) error {
	if drain != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}

// softDeadline ends at three quarters of the time that ctx has left.
func softDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*3/4)
}

// windDown waits for the offers in progress, then for one node after the other in topological order: its senders are
// done by then, so its edge can be closed. It returns false when ctx ended first; then it may be called again.
func (e *Engine) windDown(ctx context.Context, quiet <-chan struct{}) bool {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	if !e.await(ctx, quiet, ticker) {
		return false
	}
	for _, h := range e.hosts {
		if h.edge != nil {
			h.edge.close()
		}
		if !e.await(ctx, h.done, ticker) {
			return false
		}
	}
	return true
}

func (e *Engine) await(ctx context.Context, done <-chan struct{}, ticker *time.Ticker) bool {
	for {
		select {
		case <-done:
			return true
		case <-ctx.Done():
			return false
		case <-ticker.C:
			e.log.Info("draining", "left", e.left().String())
		}
	}
}

// left reads where the unsettled items are.
func (e *Engine) left() Residue {
	counts := make(map[place]*Left)
	for _, l := range e.book.oldest(-1) {
		age := time.Since(l.since)
		for i := range l.items {
			at := l.items[i].place()
			if at == settled || at == abandoned {
				continue
			}
			if counts[at] == nil {
				counts[at] = &Left{Oldest: age}
			}
			counts[at].Inside++
		}
	}
	var r Residue
	for _, h := range e.hosts {
		left := counts[h.id]
		if left == nil {
			continue
		}
		delete(counts, h.id)
		left.Node = h.name
		if h.edge != nil {
			left.Queued = min(h.edge.stats().Depth.Items, left.Inside)
			left.Inside -= left.Queued
		}
		r.Left = append(r.Left, *left)
	}
	return r
}

// markStuck marks the nodes whose code has not returned, listing those with no item of their own too.
func markStuck(left []Left, hosts []*host) []Left {
	for _, h := range hosts {
		if h.stats.active.Load() == 0 {
			continue
		}
		i := slices.IndexFunc(left, func(l Left) bool { return l.Node == h.name })
		if i < 0 {
			left, i = append(left, Left{Node: h.name}), len(left)
		}
		left[i].Stuck = true
	}
	return left
}

// ended returns the opened nodes whose code will not run again. quiet is closed when no offer is in progress.
func (e *Engine) ended(quiet <-chan struct{}) []*host {
	grace, release := context.WithTimeout(context.Background(), closeGrace)
	defer release()
	var out []*host
	for _, h := range e.opened {
		if h.callersEnd(grace, quiet) {
			out = append(out, h)
		}
	}
	return out
}

// callersEnd waits for the goroutines that run a node's code: its own, or those of what it is fused to. It returns
// false when one is still there at the end of the grace.
func (h *host) callersEnd(grace context.Context, quiet <-chan struct{}) bool {
	if h.workers == 0 && h.role != RoleSource {
		return !slices.ContainsFunc(h.up, func(up *host) bool { return !up.callersEnd(grace, quiet) })
	}
	callers := quiet
	if h.workers > 0 {
		callers = h.done
	}
	select {
	case <-callers:
	case <-grace.Done():
	}
	select {
	case <-callers:
		return true
	default:
		return false
	}
}

// settleRest settles what is still open. Only a bug of a stage, or one that would not stop, leaves anything.
func (e *Engine) settleRest(settle func(l *ledger, i int)) {
	for _, l := range e.book.oldest(-1) {
		for i := range l.items {
			if at := l.items[i].place(); at != settled && at != abandoned {
				settle(l, i)
			}
		}
	}
}
