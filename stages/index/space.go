package index

import (
	"context"
	"sync/atomic"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/epoch"
)

// space is the index of one memory space, in one incarnation.
type space struct {
	// immutable
	name        string
	incarnation uint64

	// atomic
	view     atomic.Pointer[view] // never nil; written by the owner
	waiting  bell                 // rings at the next publication
	dropped  atomic.Bool          // the space has been deleted: what is published here nobody finds
	due      atomic.Bool          // the merger has it in its queue
	failures atomic.Int64         // merges of it that have failed; by the merger
	kept     atomic.Bool          // there is a snapshot of its graph
	used     atomic.Bool          // somebody has asked for it, or written, since the merger looked
	loading  atomic.Bool          // the loader has it
	epochs   epoch.Epochs         // of whoever looks for the nearest; entered before the view is loaded

	// guarded by carry, a lock that a context can end the wait for: the lane that carries the space holds it from prepare to
	// commit, and else whoever loads or unloads
	carry    chan struct{}
	w        writer
	degraded *fault.Error // no apply any more

	unused int // the merger's: how many times it looked since it was used

	// window is a test's hook, set before use: it runs between any two steps of publish and wait. nil: none.
	window func()
}

func newSpace(name string, incarnation uint64, w writer) *space {
	sp := &space{name: name, incarnation: incarnation, carry: make(chan struct{}, 1), w: w}
	sp.w.epochs = &sp.epochs
	sp.view.Store(&view{})
	return sp
}

// publish makes everything applied visible, then wakes who waits for it. Owner only.
func (sp *space) publish() {
	v := sp.w.publish()
	if sp.degraded != nil {
		v = &view{version: sp.w.version, fault: sp.degraded}
	}
	sp.view.Store(v)
	sp.pause()
	sp.wake()
}

// drop tells who waits that the space has been deleted. Anyone may call it, again too; the owner may still publish.
func (sp *space) drop() {
	sp.dropped.Store(true)
	sp.pause()
	sp.wake()
}

func (sp *space) wake() {
	if sp.waiting.ring() {
		sp.pause()
	}
}

func (sp *space) pause() {
	if sp.window != nil {
		sp.window()
	}
}

// wait returns once version v is published, the space is degraded or deleted, or ctx ends.
//
// It leaves a channel before it looks at the view; publish stores the view before it takes the channel. So either
// this sees the new view or the publisher sees the channel. Likewise with drop.
func (sp *space) wait(ctx context.Context, v memory.Version) error {
	for {
		woken := sp.waiting.next()
		sp.pause()
		if now := sp.view.Load(); now.fault != nil {
			return now.fault
		} else if now.version >= v {
			return nil
		}
		if sp.dropped.Load() {
			return memory.NoSpace()
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return contextFault(ctx)
		}
	}
}
