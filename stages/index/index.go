package index

import (
	"context"
	"log/slog"
	"sync"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// rebuildTries bounds how often a space is rebuilt before it is given up as degraded.
const rebuildTries = 3

// index holds the spaces. Different spaces may be written concurrently, each by its one owner.
type index struct {
	// immutable
	journal Journal
	hash    func(string) uint64
	logger  *slog.Logger
	merger  *merger
	loader  *loader

	spaces sync.Map // name → *space; a load takes no lock
}

func newIndex(journal Journal, hash func(string) uint64, logger *slog.Logger, m *merger) *index {
	return &index{journal: journal, hash: hash, logger: logger, merger: m, loader: newLoader()}
}

func (ix *index) newWriter() writer { return writer{hash: ix.hash, journal: ix.journal} }

// space returns the index of a space, or nil when no op has reached it yet.
func (ix *index) space(name string) *space {
	if sp, ok := ix.spaces.Load(name); ok {
		return sp.(*space)
	}
	return nil
}

// ensure returns the index of a space in an incarnation, an empty one if no op has reached it yet; nil when there is a
// later one.
func (ix *index) ensure(name string, incarnation uint64) *space {
	for {
		held := ix.space(name)
		switch {
		case held != nil && held.incarnation == incarnation:
			return held
		case held != nil && held.incarnation > incarnation:
			return nil
		}
		sp := newSpace(name, incarnation, ix.newWriter())
		if held == nil {
			if _, other := ix.spaces.LoadOrStore(name, sp); !other {
				return sp
			}
		} else if ix.spaces.CompareAndSwap(name, held, sp) {
			held.drop()
			ix.merger.offer(held)
			return sp
		}
	}
}

// stillborn reports whether a space to which nothing has been applied yet was deleted before what comes now reached it,
// and removes it. What comes is durable, so the journal knows.
func (ix *index) stillborn(sp *space) bool {
	if sp.w.version > 0 {
		return false
	}
	if description, ok := ix.journal.Space(sp.name); ok && description.Incarnation == sp.incarnation {
		return false
	}
	ix.drop(sp.name, sp.incarnation)
	return true
}

// drop removes a space that has been deleted: from then on nothing of it is found, and its memory is given back as its
// readers end. What is still on its way to it is applied where nobody looks.
func (ix *index) drop(name string, incarnation uint64) {
	if held := ix.space(name); held != nil && held.incarnation <= incarnation && ix.spaces.CompareAndDelete(name, held) {
		held.drop()
		ix.merger.offer(held)
	}
}

// change is a run of ops of one space on its way into the index: prepare it, then commit or discard it.
type change struct {
	space *space
	steps []step
	err   error // prepare failed
}

// prepare copies the vectors into the space's unpublished tail. A failure is commit's business, which tries again:
// before the ops are durable, it may only mean that the space's dimension is not, or never will be.
func (ix *index) prepare(c *change) {
	if c.space.degraded != nil {
		return
	}
	c.err = ix.tryPrepare(c)
}

// tryPrepare prepares all of the change or nothing.
func (ix *index) tryPrepare(c *change) error {
	err := guarded(func() error {
		return c.space.w.prepare(func() memory.Space {
			description, _ := ix.journal.Space(c.space.name) // none: of no dimension
			return description
		}, c.steps)
	})
	if err != nil {
		ix.discard(c)
	}
	return err
}

// discard forgets a prepared change.
func (ix *index) discard(c *change) { c.space.w.discard() }

// commit applies a prepared change that is durable, and publishes it. It returns how many memories each step's forget
// matched. Durable ops are never refused: what cannot be applied is rebuilt from the journal, and what cannot be
// rebuilt degrades the space, whose recalls then fail. An error says that ctx ended before either.
func (ix *index) commit(ctx context.Context, c *change) (matched []uint64, err error) {
	if c.space.degraded != nil || ix.stillborn(c.space) {
		return make([]uint64, len(c.steps)), nil
	}
	if c.err != nil { // now that the ops are durable, so is the space
		c.err = ix.tryPrepare(c)
	}
	err = c.err
	if g := c.space.w.merged; err == nil && g != nil && g.failed.Load() {
		err = fault.New(fault.Internal, "a merge into the graph has failed")
	}
	if err == nil {
		err = guarded(func() error { matched, err = c.space.w.apply(c.steps); return err })
	}
	if err != nil {
		matched, err = ix.rebuild(ctx, c, err)
	}
	if err != nil {
		return nil, err
	}
	c.space.publish()
	ix.merger.offer(c.space)
	return matched, nil
}

// guarded runs fn and turns a panic into an error: what fn changed is then void.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "panic: %v", p)
		}
	}()
	return fn()
}
