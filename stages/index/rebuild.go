package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/engram-stream/engram/internal/memory"
)

// errRebuilt ends a replay that has reached its goal.
var errRebuilt = errors.New("rebuilt")

// open builds every space by one pass over the journal. A space that cannot be built is tried again alone, then
// degraded; a journal that cannot be read is an error.
func (ix *index) open(ctx context.Context) error {
	failed := map[*space]error{}
	err := ix.replayAhead(ctx, func(description memory.Space, s step) error {
		sp := ix.ensure(description.Name, description.Incarnation)
		if sp == nil {
			return nil
		}
		if sp.w.version == 0 && sp.w.restore == nil {
			sp.w.restore = ix.restorer(sp)
		}
		if failed[sp] == nil {
			if err := sp.w.replay(description, s); err != nil {
				failed[sp] = err
			}
		}
		if failed[sp] != nil {
			sp.w.version = s.version
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("build the index: %w", err)
	}
	ix.spaces.Range(func(_, held any) bool {
		sp := held.(*space)
		if sp.w.restore != nil && sp.w.tier == nil {
			ix.merger.forget(sp) // it is of what the journal has not
		}
		sp.w.restore = nil // what comes from now on is in no snapshot
		if failed[sp] == nil {
			if err := sp.w.whole(); err != nil {
				failed[sp] = err
			}
		}
		return true
	})
	for sp, cause := range failed {
		if err := ix.rebuildWhole(ctx, sp, cause); err != nil {
			return err
		}
	}
	incarnations := map[uint64]bool{}
	ix.spaces.Range(func(_, held any) bool {
		sp := held.(*space)
		incarnations[sp.incarnation] = true
		sp.publish()
		ix.merger.offer(sp)
		return true
	})
	ix.merger.snapshots.sweep(incarnations)
	return nil
}

// restorer returns what a space's first tier asks for its graph; nil where there are no graphs.
func (ix *index) restorer(sp *space) func(*merged) *restoring {
	if ix.merger.limits.graphFrom == 0 {
		return nil
	}
	return func(m *merged) *restoring {
		r := ix.merger.snapshots.restore(sp.name, sp.incarnation, m)
		sp.kept.Store(r != nil)
		return r
	}
}

// replay applies one op of a journal's replay.
func (w *writer) replay(description memory.Space, s step) error {
	return guarded(func() error {
		if err := w.prepare(func() memory.Space { return description }, []step{s}); err != nil {
			return err
		}
		_, err := w.apply([]step{s})
		return err
	})
}

// rebuild brings the space of a change up to the change's last version from the journal alone, after an apply failed with
// cause. Readers keep the view they have meanwhile. When no try succeeds, the space is degraded. An error says that
// ctx ended.
func (ix *index) rebuild(ctx context.Context, c *change, cause error) (matched []uint64, err error) {
	for try := range rebuildTries {
		if c.space.dropped.Load() {
			return make([]uint64, len(c.steps)), nil // nobody will look
		}
		ix.logger.Error("index: rebuilding a space from the journal", "space", c.space.name, "try", try+1, "cause", cause)
		w := ix.newWriter()
		w.epochs, w.scanned = &c.space.epochs, c.space.failures.Load() >= mostFailures
		matched, cause = ix.rebuildInto(ctx, &w, c)
		if ctx.Err() != nil {
			return nil, contextFault(ctx)
		}
		if cause == nil {
			c.space.w = w
			ix.merger.counts.rebuilt.Add(1)
			return matched, nil
		}
	}
	ix.logger.Error("index: a space is degraded, its recalls fail", "space", c.space.name, "cause", cause)
	c.space.degraded = damaged(c.space.name, cause)
	goal := c.goal()
	c.space.w = ix.newWriter()
	c.space.w.epochs, c.space.w.version = &c.space.epochs, goal
	return make([]uint64, len(c.steps)), nil
}

// rebuildWhole rebuilds a space up to the version that it has, without the snapshot of its graph, which may be the cause.
func (ix *index) rebuildWhole(ctx context.Context, sp *space, cause error) error {
	ix.merger.forget(sp)
	_, err := ix.rebuild(ctx, &change{space: sp, steps: []step{{op: &memory.Op{}, version: sp.w.version}}}, cause)
	return err
}

// goal is the version that a rebuild must reach: never behind what readers have seen.
func (c *change) goal() memory.Version { return max(c.steps[len(c.steps)-1].version, c.space.w.floor) }

func (s step) compare(v memory.Version) int { return cmp.Compare(s.version, v) }

// rebuildInto replays a space into a new writer and returns what the change's forgets matched on the way.
func (ix *index) rebuildInto(ctx context.Context, w *writer, c *change) (matched []uint64, err error) {
	goal := c.goal()
	matched = make([]uint64, len(c.steps))
	err = ix.replayAhead(ctx, func(description memory.Space, s step) error {
		if description.Name != c.space.name || description.Incarnation != c.space.incarnation {
			return nil
		}
		before := w.live
		if err := w.replay(description, s); err != nil {
			return err
		}
		if at, ok := slices.BinarySearchFunc(c.steps, s.version, step.compare); ok && s.op.Kind == memory.OpForget {
			matched[at] = before - w.live
		}
		if s.version == goal {
			return errRebuilt
		}
		return nil
	})
	if errors.Is(err, errRebuilt) {
		return matched, nil
	}
	if err == nil {
		err = fmt.Errorf("the journal ends at version %d, before %d", w.version, goal)
	}
	return nil, err
}
