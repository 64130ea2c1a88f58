package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"github.com/engram-stream/engram/internal/fault"
)

// Options are what an engine is built with besides its spec. The zero value is usable.
type Options struct {
	Logger *slog.Logger // nil: silent
	Hooks  Hooks        // nil: none, at no cost
	// Provide are services of the application that stages may Use, beside those that stages export.
	Provide []any
}

// Engine runs a built graph: Start it, offer through its sources' inlets, Drain it. Its methods are safe for
// concurrent use, except that Drain must come after Start has returned.
type Engine struct {
	// Set when built, never changed.
	hosts     []*host // in topological order
	endpoints map[string]any
	services  []service
	budget    *Budget
	hooks     Hooks
	log       *slog.Logger
	epoch     time.Time

	book   book
	failed chan error // cap 1: why the graph stopped by itself; Wait reads it

	// Written by Start, read by the goroutines that it starts and after it.
	running context.Context // of the stages' goroutines
	cancel  context.CancelCauseFunc
	workers conc.WaitGroup
	opened  []*host // in the order of opening

	mu      sync.Mutex
	started bool          // guarded by mu
	stopped error         // guarded by mu; why the edges were killed
	drained chan struct{} // guarded by mu; made by the first Drain, closed at its end
	// Written by the first Drain before it closes drained.
	residue Residue
	ending  error
}

// service is something exported to the stages and the application.
type service struct {
	provider string
	value    any
}

// ErrStopped is in the chain of the reason with which items are rejected that a hard stop found unfinished.
var ErrStopped = errors.New("stopped before it was done")

// now is the engine's clock: the time since it was built.
func (e *Engine) now() time.Duration { return time.Since(e.epoch) }

// Budget returns the budget of the whole graph.
func (e *Engine) Budget() *Budget { return e.budget }

// Endpoints returns what the sources' build functions returned, by node name.
func (e *Engine) Endpoints() map[string]any { return e.endpoints }

// Service returns the one service of the graph that implements T; none or several is an error that says which.
func Service[T any](e *Engine) (T, error) {
	var found []T
	var names []string
	for _, s := range e.services {
		if t, ok := s.value.(T); ok {
			found, names = append(found, t), append(names, s.provider)
		}
	}
	if len(found) != 1 {
		var none T
		return none, fault.New(fault.Internal, "the pipeline has %s of %s", countOf(names), typeName(reflect.TypeFor[T]()))
	}
	return found[0], nil
}

func countOf(providers []string) string {
	if len(providers) == 0 {
		return "no provider"
	}
	return fmt.Sprintf("%d providers (%s)", len(providers), strings.Join(providers, ", "))
}

func (e *Engine) nameOf(at place) string {
	for _, h := range e.hosts {
		if h.id == at {
			return h.name
		}
	}
	return "source"
}

// Start opens the stages and sinks in topological order, then the sources, starts the goroutines and lets offers in.
// When opening one fails, those opened are closed again in reverse order. ctx bounds the opening only; the graph
// keeps its values. An engine starts once.
func (e *Engine) Start(ctx context.Context) error {
	if !e.beginStart() {
		return fault.New(fault.FailedPrecondition, "the graph was started or drained before")
	}
	e.running, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := e.open(ctx); err != nil {
		e.book.drain()
		e.cancel(err)
		opened := e.opened
		e.opened = nil
		return errors.Join(err, e.closeOpened(context.WithoutCancel(ctx), opened))
	}
	for _, h := range e.hosts {
		e.launch(h)
	}
	e.book.start()
	return nil
}

func (e *Engine) beginStart() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started || e.drained != nil {
		return false
	}
	e.started = true
	return true
}

func (e *Engine) open(ctx context.Context) error {
	for _, last := range []bool{false, true} {
		for _, h := range e.hosts {
			if (h.role == RoleSource) != last {
				continue
			}
			if err := h.open(ctx); err != nil {
				return err
			}
			e.opened = append(e.opened, h)
		}
	}
	return nil
}

func (h *host) open(ctx context.Context) error {
	opener, ok := h.node.subject().(Opener)
	if !ok {
		return nil
	}
	if err := h.try(&panics.Catcher{}, func() error { return opener.Open(ctx) }); err != nil {
		return fmt.Errorf("open %q: %w", h.name, err)
	}
	return nil
}

// closeOpened closes nodes in reverse order and returns all their errors. A Close that has not returned when ctx ends,
// and not within closeGrace, is given up.
func (e *Engine) closeOpened(ctx context.Context, opened []*host) error {
	var errs []error
	for _, h := range slices.Backward(opened) {
		if closer, ok := h.node.subject().(Closer); ok {
			errs = append(errs, e.close(ctx, h, closer))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) close(ctx context.Context, h *host, closer Closer) error {
	closed := make(chan error, 1)
	e.workers.Go(func() { closed <- h.try(&panics.Catcher{}, closer.Close) })
	select {
	case err := <-closed:
		return closeError(h, err)
	case <-ctx.Done():
	}
	select {
	case err := <-closed:
		return closeError(h, err)
	case <-time.After(closeGrace):
		return fault.New(fault.DeadlineExceeded, "close %q: it did not return in time", h.name)
	}
}

func closeError(h *host, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("close %q: %w", h.name, err)
}

// launch starts a node's goroutines. They end when its edge does.
func (e *Engine) launch(h *host) {
	h.done = make(chan struct{})
	for _, seat := range h.seats {
		h.working.Add(1)
		e.workers.Go(func() {
			defer h.working.Done()
			if r := panics.Try(func() { h.node.work(e.running, seat) }); r != nil {
				e.fail(h, r)
			}
		})
	}
	e.workers.Go(func() {
		h.working.Wait()
		close(h.done)
	})
}

// fail stops the graph after a panic outside any stage's code: nothing may hang on a goroutine that is gone.
func (e *Engine) fail(h *host, r *panics.Recovered) {
	e.log.Error("graph goroutine panicked; stopping", "stage", h.name, "panic", fmt.Sprint(r.Value), "stack", string(r.Stack))
	reason := fault.Wrap(fault.Internal, ErrStopped, "the graph failed at %q: %v", h.name, r.Value)
	e.kill(reason)
	select {
	case e.failed <- reason:
	default: // one is enough
	}
}

// Wait returns nil when ctx ends, or why the graph stopped by itself: then it takes nothing any more, and only a Drain
// is left to do. For one caller.
func (e *Engine) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-e.failed:
		return err
	}
}

// kill cancels what runs and rejects, with the reason, what is queued and what comes to an edge from now on.
func (e *Engine) kill(reason error) {
	e.mu.Lock()
	first := e.stopped == nil
	if first {
		e.stopped = reason
	}
	e.mu.Unlock()
	if !first {
		return
	}
	e.cancel(reason)
	for _, h := range e.hosts {
		if h.edge != nil {
			h.edge.kill(reason)
		}
	}
}

// stopReason is why an edge takes nothing any more.
func (e *Engine) stopReason() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped == nil {
		return ErrDraining
	}
	return e.stopped
}
