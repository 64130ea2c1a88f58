package index

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// Service answers recalls and look-ups from what is published. It is exported by the stage and answers Unavailable
// until the stage is open. Safe for concurrent use; none of its calls waits for a writer, save WaitPublished.
//
// Errors are *fault.Error: NotFound for a space that does not exist, Unavailable or Corrupt with reason SPACE_DEGRADED
// for one whose index is lost, Corrupt for a damaged record, Canceled or DeadlineExceeded when ctx ends.
type Service struct {
	opened atomic.Pointer[server]
}

// server is an open service. Immutable.
type server struct {
	index    *index
	pool     *pool
	share    *fresh.Share
	rescore  bool // candidates are compared at full precision
	maxLimit int
}

func (s *Service) serve(sv *server) { s.opened.Store(sv) }

func (s *Service) server() (*server, error) {
	if sv := s.opened.Load(); sv != nil {
		return sv, nil
	}
	return nil, fault.New(fault.Unavailable, "the index is being built").WithHint("wait until /readyz says ready")
}

// Recall returns the memories nearest to the query's vector as of the version that is published when it is called, by
// falling score, ties by rising version. Limit 0 means memory.DefaultLimit. A space without memories gives an empty
// result. Beside the service's errors: InvalidArgument for a query that can never succeed, ResourceExhausted with
// RetryAfter when too many recalls wait, and without it when the answer would be too large.
func (s *Service) Recall(ctx context.Context, space string, q memory.Query) (memory.Result, error) {
	sv, err := s.server()
	if err != nil {
		return memory.Result{}, err
	}
	result, err := sv.recall(ctx, space, q)
	return result, inSpace(err, "recall", space)
}

// Get returns the memories of the ids that are alive, newest version, in the order asked, Score 0, and the ids that
// are not. An id asked twice is answered twice. What is found is taken from hold, if that is not nil. ResourceExhausted:
// the answer would be too large, or the hold's own.
func (s *Service) Get(ctx context.Context, space string, ids []string, includeEmbedding bool, hold memory.Hold) (found []memory.Hit, missing []string, err error) {
	sv, err := s.server()
	if err != nil {
		return nil, nil, err
	}
	a := answer{hold: hold}
	err = sv.each(ctx, space, ids, func(id string, m memoryAt, alive bool) error {
		if !alive {
			missing = append(missing, id)
			return nil
		}
		return a.add(hit(m.op.Observe, memory.Version(m.record.Birth), 0, true, includeEmbedding))
	})
	if err != nil {
		return nil, nil, inSpace(err, "get", space)
	}
	return a.hits, missing, nil
}

// Match counts the memories that a forget would remove now.
func (s *Service) Match(ctx context.Context, space string, f *memory.Forget) (uint64, error) {
	sv, err := s.server()
	if err != nil {
		return 0, err
	}
	var matched uint64
	if len(f.IDs) == 0 {
		matched, err = sv.matchOld(ctx, space, f)
	} else {
		matched, err = sv.matchIDs(ctx, space, f)
	}
	return matched, inSpace(err, "forget", space)
}

func (sv *server) matchOld(ctx context.Context, space string, f *memory.Forget) (matched uint64, err error) {
	v, err := sv.view(ctx, space)
	if err != nil || v.tier == nil {
		return 0, err
	}
	err = v.tier.EachUpTo(ctx, uint64(v.version), instant(f.ObservedBefore), func(_ fresh.Slot, r fresh.Record) error {
		covered, err := covers(f, r, sv.index.journal)
		if covered {
			matched++
		}
		return err
	})
	if ctx.Err() != nil {
		err = contextFault(ctx)
	}
	return matched, err
}

// matchIDs counts a memory once that is named twice.
func (sv *server) matchIDs(ctx context.Context, space string, f *memory.Forget) (uint64, error) {
	matched := make([]fresh.Slot, 0, len(f.IDs))
	err := sv.each(ctx, space, f.IDs, func(_ string, m memoryAt, alive bool) error {
		if !alive {
			return nil
		}
		covered, err := covers(f, m.record, sv.index.journal)
		if covered {
			matched = append(matched, m.slot)
		}
		return err
	})
	slices.Sort(matched)
	return uint64(len(slices.Compact(matched))), err
}

// WaitPublished returns once everything of the space up to version v is findable.
func (s *Service) WaitPublished(ctx context.Context, space string, v memory.Version) error {
	sv, err := s.server()
	if err != nil {
		return err
	}
	if v == 0 {
		return nil
	}
	if _, err := sv.peek(sv.index.space(space), space); err != nil {
		return inSpace(err, "wait for publication", space)
	}
	err = memory.NoSpace()
	if sp := sv.waitable(space); sp != nil {
		err = sp.wait(ctx, v)
	}
	return inSpace(err, "wait for publication", space)
}

// waitable returns the index of a space that somebody waits for, even if no op has reached it yet; nil: it is gone.
func (sv *server) waitable(name string) *space {
	if sp := sv.index.space(name); sp != nil {
		return sp
	}
	description, ok := sv.index.journal.Space(name)
	if !ok {
		return nil
	}
	sp := sv.index.ensure(name, description.Incarnation)
	// Between the two it may have been deleted, and the index told of it: then nobody will end this one's waits.
	if again, ok := sv.index.journal.Space(name); !ok || again.Incarnation != description.Incarnation {
		sv.index.drop(name, description.Incarnation)
		return nil
	}
	return sp
}

// Memories returns how many memories of a space are alive as published, and the version of that; 0 for an unknown space.
func (s *Service) Memories(space string) (alive uint64, at memory.Version) {
	if v := s.published(space); v != nil {
		return v.live, v.version
	}
	return 0, 0
}

// Published returns the space's published version: what a recall sees now. 0 for an unknown space.
func (s *Service) Published(space string) memory.Version {
	if v := s.published(space); v != nil {
		return v.version
	}
	return 0
}

// Graphed returns the version up to which a space's graph is searched; 0 when it has none, or does not exist.
func (s *Service) Graphed(space string) memory.Version {
	if v := s.published(space); v != nil {
		return v.graphed()
	}
	return 0
}

func (s *Service) published(space string) *view {
	if sv := s.opened.Load(); sv != nil {
		if sp := sv.index.space(space); sp != nil {
			return sp.view.Load()
		}
	}
	return nil
}

// view returns what is published of a space, loaded; it may be empty.
func (sv *server) view(ctx context.Context, name string) (*view, error) {
	sp := sv.index.space(name)
	v, err := sv.peek(sp, name)
	if err != nil || sp == nil {
		return v, err
	}
	return sv.load(ctx, sp)
}

// load returns what is published of a space, loaded.
func (sv *server) load(ctx context.Context, sp *space) (*view, error) {
	v, err := sv.index.loaded(ctx, sp)
	switch {
	case err != nil:
		return nil, err
	case v.fault != nil:
		return nil, v.fault
	case v.unloaded != nil: // it has been deleted meanwhile
		return nil, memory.NoSpace()
	}
	return v, nil
}

// peek returns what is published of a space that has been looked up, loaded or not; nil: no op has reached it yet.
func (sv *server) peek(sp *space, name string) (*view, error) {
	var v *view
	if sp != nil {
		v = sp.view.Load()
	}
	switch {
	case v != nil && v.fault != nil:
		return nil, v.fault
	case v != nil && v.version > 0:
		return v, nil
	}
	if _, ok := sv.index.journal.Space(name); !ok {
		return nil, memory.NoSpace()
	}
	return &view{}, nil
}

// each looks up ids at one view, until visit returns an error.
func (sv *server) each(ctx context.Context, space string, ids []string, visit func(id string, m memoryAt, alive bool) error) error {
	v, err := sv.view(ctx, space)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return contextFault(ctx)
		}
		m, alive, err := v.lookup(id, sv.index.hash, sv.index.journal)
		if err != nil {
			return err
		}
		if err := visit(id, m, alive); err != nil {
			return err
		}
	}
	return nil
}

// inSpace says what was being done, and where, unless the error says so itself. It never changes err: a degraded
// space's fault is shared.
func inSpace(err error, op, space string) error {
	if err == nil {
		return nil
	}
	f := fault.As(err)
	if f == nil {
		return fault.Wrap(fault.Internal, err, "").WithOp(op).WithSubject(fmt.Sprintf("space %q", space))
	}
	if f.Op != "" {
		return err
	}
	said := *f
	said.Op = op
	if said.Subject == "" && said.Kind != fault.Canceled && said.Kind != fault.DeadlineExceeded {
		said.Subject = fmt.Sprintf("space %q", space)
	}
	return &said
}
