package index

import "github.com/engram-stream/engram/internal/memory"

// Stats reads what the index has done and what it holds. It looks at every space, which takes about a microsecond each, most of it
// waits for memory, and holds nobody up.
func (s *Service) Stats() memory.IndexStats {
	if sv := s.opened.Load(); sv != nil {
		return sv.index.stats()
	}
	return memory.IndexStats{}
}

// Held returns what the index holds of a space; nothing for an unknown one.
func (s *Service) Held(space string) memory.IndexHeld {
	if v := s.published(space); v != nil {
		return v.held(s.opened.Load().index.merger.limits)
	}
	return memory.IndexHeld{}
}

func (ix *index) stats() memory.IndexStats {
	s := ix.merger.counts.read()
	ix.spaces.Range(func(_, sp any) bool {
		v := sp.(*space).view.Load()
		h := v.held(ix.merger.limits)
		s.Add(h)
		s.MostBehind = max(s.MostBehind, h.Behind)
		switch {
		case v.fault != nil:
			s.DegradedSpaces++
		case v.unloaded != nil:
			s.UnloadedSpaces++
		case h.Graphs > 0:
			s.GraphedSpaces++
		default:
			s.ScannedSpaces++
		}
		return true
	})
	return s
}

// held reads what there is behind a view by now: it may have grown since the view was published.
func (v *view) held(limits mergeLimits) (h memory.IndexHeld) {
	if v.unloaded != nil {
		h.Unloaded = uint64(len(v.unloaded.slots))
	}
	if v.tier == nil {
		return h
	}
	slots, c := v.tier.Len(), v.merged.coverage.Load()
	slots = max(slots, int(c.through)) // read before it
	h.Scanned = uint64(slots - int(c.through))
	if c.graph != nil {
		h.Graphed, h.Graphs = uint64(c.graph.Len()), uint64(c.graph.Bytes())
	}
	if limits.graphFrom != 0 && !v.merged.scanned && (c.graph != nil || slots >= limits.graphFrom) {
		h.Behind = h.Scanned
	}
	codes, records := v.tier.Bytes()
	h.Codes, h.Records, h.IDs = uint64(codes), uint64(records), uint64(v.ids.bytes())
	return h
}
