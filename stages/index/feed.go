package index

import (
	"context"
	"sort"
	"time"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// The limits of one read of a feed.
const (
	maxEventIDs  = 256     // memories in an event
	maxFeedReads = 1 << 10 // records of the journal that are read
)

// Feed returns what happens in a space, in the incarnation that it has now. Nothing is kept for whoever reads it: the
// events are made from what the index holds, so that a slow reader costs no memory and holds nothing up.
func (s *Service) Feed(space string) (memory.Feed, error) {
	sv, err := s.server()
	if err != nil {
		return nil, err
	}
	sp := sv.waitable(space)
	if sp == nil {
		return nil, inSpace(memory.NoSpace(), "watch", space)
	}
	return newFeed(sp, sv), nil
}

// feed implements memory.Feed.
type feed struct {
	space   *space
	server  *server
	perRead int
	ids     int // in an event
}

func newFeed(sp *space, sv *server) *feed {
	return &feed{space: sp, server: sv, perRead: maxFeedReads, ids: maxEventIDs}
}

// Incarnation implements memory.Feed.
func (f *feed) Incarnation() uint64 { return f.space.incarnation }

// Published implements memory.Feed.
func (f *feed) Published() memory.Version { return f.space.view.Load().version }

// Graphed implements memory.Feed.
func (f *feed) Graphed() memory.Version { return f.space.view.Load().graphed() }

// Wait implements memory.Feed.
func (f *feed) Wait(ctx context.Context, v memory.Version) error {
	return inSpace(f.space.wait(ctx, v), "watch", f.space.name)
}

// Read implements memory.Feed.
func (f *feed) Read(ctx context.Context, at memory.Cursor, wanted func(memory.EventKind) bool) ([]memory.Event, memory.Cursor, error) {
	v := f.space.view.Load()
	if v.fault == nil && at.Version < v.version {
		var err error
		if v, err = f.server.load(ctx, f.space); err != nil {
			return nil, at, inSpace(err, "watch", f.space.name)
		}
	}
	switch {
	case v.fault != nil:
		return nil, at, inSpace(v.fault, "watch", f.space.name)
	case f.space.dropped.Load():
		return nil, at, inSpace(memory.NoSpace(), "watch", f.space.name)
	case v.tier == nil || at.Version >= v.version:
		at.Version = max(at.Version, v.version)
		return nil, at, nil
	}
	r := &feedReader{
		feed: f, view: v, at: at, stored: wanted(memory.Stored), forgotten: wanted(memory.Forgotten),
		slot: sort.Search(v.tier.Len(), func(i int) bool { return v.tier.Birth(fresh.Slot(i)) > uint64(at.Version) }),
		next: v.endings.after(at.Version),
	}
	if err := r.run(); err != nil {
		return nil, at, inSpace(err, "watch", f.space.name)
	}
	return r.events, r.at, nil
}

// feedReader merges a view's births and endings by version.
type feedReader struct {
	feed              *feed
	view              *view
	stored, forgotten bool

	at     memory.Cursor
	slot   int // that is born next
	next   int // forget
	reads  int
	events []memory.Event
}

func (r *feedReader) run() error {
	for r.reads < r.feed.perRead {
		birth, ending := r.birth(), r.ending()
		var err error
		switch {
		case birth == 0 && ending == 0:
			r.at = memory.Cursor{Version: r.view.version}
			return nil
		case ending == 0 || birth != 0 && birth < ending:
			err = r.store(birth)
		default:
			err = r.forget()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// birth returns the version at which the next memory was stored; 0: there is none.
func (r *feedReader) birth() memory.Version {
	if !r.stored || r.slot >= r.view.tier.Len() {
		return 0
	}
	if v := memory.Version(r.view.tier.Birth(fresh.Slot(r.slot))); v <= r.view.version {
		return v
	}
	return 0
}

// ending returns the version of the next forget; 0: there is none.
func (r *feedReader) ending() memory.Version {
	if !r.forgotten || r.next >= len(r.view.endings.forgets) {
		return 0
	}
	return r.view.endings.forgets[r.next].version
}

// store tells of the next memory, in the event before if that has room.
func (r *feedReader) store(version memory.Version) error {
	o, err := r.observation(fresh.Slot(r.slot))
	if err != nil {
		return err
	}
	last := len(r.events) - 1
	if last < 0 || r.events[last].Kind != memory.Stored || len(r.events[last].IDs) == r.feed.ids {
		r.events = append(r.events, memory.Event{Kind: memory.Stored})
		last++
	}
	e := &r.events[last]
	e.IDs, e.Version, e.At = append(e.IDs, o.ID), version, o.ReceivedAt
	r.slot++
	r.at = memory.Cursor{Version: version}
	return nil
}

// forget tells of the next forget, or of the part of it that an event holds.
func (r *feedReader) forget() error {
	f := r.view.endings.forgets[r.next]
	slots := r.view.endings.of(r.next)
	slots = slots[min(r.at.Told, len(slots)):]
	e := memory.Event{Kind: memory.Forgotten, Version: f.version, At: time.Unix(0, f.at).UTC(), More: len(slots) > r.feed.ids}
	for _, slot := range slots[:min(len(slots), r.feed.ids)] {
		o, err := r.observation(slot)
		if err != nil {
			return err
		}
		e.IDs = append(e.IDs, o.ID)
	}
	r.events = append(r.events, e)
	if e.More {
		r.at = memory.Cursor{Version: f.version - 1, Told: r.at.Told + len(e.IDs)}
		return nil
	}
	r.at = memory.Cursor{Version: f.version}
	r.next++
	return nil
}

func (r *feedReader) observation(slot fresh.Slot) (*memory.Observation, error) {
	r.reads++
	op, err := readObserve(r.feed.server.index.journal, r.view.tier.Record(slot))
	if err != nil {
		return nil, err
	}
	return op.Observe, nil
}
