package index

import (
	"context"
	"sort"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// The limits of one page of a listing beside the number of its memories.
const (
	maxPageBytes  = 2 << 20 // a page ends with the memory that passes this, so that any client can read it
	maxPageLooks  = 1 << 20 // records looked at: a page of a space that was mostly forgotten may be short, or empty
	looksPerCheck = 1 << 12 // records looked at between looks at the context
)

// List returns up to limit memories that are alive, by rising version, beginning after a version. last is where the next
// page begins after; more says that there may be one: a page may be short, or empty, before the end. Every page is of what
// is published when it is asked for: a memory that was replaced meanwhile may come again, under its new version.
func (s *Service) List(ctx context.Context, space string, after memory.Version, limit int, includeEmbedding bool, hold memory.Hold) (
	page []memory.Hit, last memory.Version, more bool, err error,
) {
	sv, err := s.server()
	if err != nil {
		return nil, 0, false, err
	}
	v, err := sv.view(ctx, space)
	if err != nil {
		return nil, 0, false, inSpace(err, "list", space)
	}
	if v.tier == nil {
		return nil, after, false, nil
	}
	l := lister{sv: sv, v: v, answer: answer{hold: hold}, last: after, embedding: includeEmbedding}
	more, err = l.run(ctx, limit)
	return l.answer.hits, l.last, more, inSpace(err, "list", space)
}

// lister walks a tier's slots, which lie in the order of their versions.
type lister struct {
	sv        *server
	v         *view
	answer    answer
	last      memory.Version // of the last record looked at
	embedding bool
}

func (l *lister) run(ctx context.Context, limit int) (more bool, err error) {
	end := l.v.tier.Len()
	first := sort.Search(end, func(i int) bool { return l.v.tier.Birth(fresh.Slot(i)) > uint64(l.last) })
	for i := first; i < end; i++ {
		if l.v.tier.Birth(fresh.Slot(i)) > uint64(l.v.version) {
			return false, nil
		}
		r := l.v.tier.Record(fresh.Slot(i))
		if len(l.answer.hits) >= limit || i-first >= maxPageLooks || l.answer.bytes >= maxPageBytes {
			return true, nil
		}
		if (i-first)%looksPerCheck == 0 && ctx.Err() != nil {
			return false, contextFault(ctx)
		}
		if r.VisibleAt(uint64(l.v.version)) {
			if err := l.add(r); err != nil {
				return false, err
			}
		}
		l.last = memory.Version(r.Birth)
	}
	return false, nil
}

func (l *lister) add(r fresh.Record) error {
	op, err := readObserve(l.sv.index.journal, r)
	if err != nil {
		return err
	}
	return l.answer.add(hit(op.Observe, memory.Version(r.Birth), 0, true, l.embedding))
}
