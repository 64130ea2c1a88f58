package graph

import (
	"context"
	"sync/atomic"
)

// offerContext is the context of an offer: its caller's, which ends at a hard stop too, for the fused stages that it
// runs. Hardly any of them asks when it ends, so the two are joined when one does: joining takes the lock of the
// engine's context, which all offers would then meet at.
type offerContext struct {
	context.Context                 // the caller's
	running         context.Context // the engine's

	both atomic.Pointer[joinedContext] // nil until asked for; set once
}

type joinedContext struct {
	context.Context
	release func()
}

func (c *offerContext) join() *joinedContext {
	if both := c.both.Load(); both != nil {
		return both
	}
	ctx, cancel := context.WithCancelCause(c.Context)
	stop := context.AfterFunc(c.running, func() { cancel(context.Cause(c.running)) })
	both := &joinedContext{Context: ctx, release: func() { stop(); cancel(nil) }}
	if !c.both.CompareAndSwap(nil, both) {
		both.release()
	}
	return c.both.Load()
}

// Done implements context.Context.
func (c *offerContext) Done() <-chan struct{} { return c.join().Done() }

// Err implements context.Context.
func (c *offerContext) Err() error { return c.join().Err() }

// Value implements context.Context. Once joined, context.Cause finds the reason of the hard stop by it.
func (c *offerContext) Value(key any) any {
	if both := c.both.Load(); both != nil {
		return both.Value(key)
	}
	return c.Context.Value(key)
}

// end releases what joining took. The ledger keeps the context for its values.
func (c *offerContext) end() {
	if both := c.both.Load(); both != nil {
		both.release()
	}
}
