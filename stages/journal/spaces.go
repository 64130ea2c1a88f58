package journal

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/engram-stream/engram/internal/memory"
)

const (
	maxSpacePage = 1000
	createTries  = 3
)

// Space describes a space; false: there is none. Committed is durable; a space whose creation, or whose dimension, is not
// durable yet is described too: not Settled, and it may vanish again.
func (s *Store) Space(name string) (memory.Space, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	sp := s.state.spaces[name]
	if sp == nil {
		return memory.Space{}, false
	}
	described := sp.Space
	described.Committed = sp.public.Committed
	described.Settled = sp.public.Settled && sp.public.Dimension == sp.Dimension && sp.public.Metric == sp.Metric &&
		sp.public.Embedder == sp.Embedder
	return described, true
}

// ListSpaces returns up to limit (at most 1,000) durable spaces with names after the given one, by name.
func (s *Store) ListSpaces(after string, limit int) []memory.Space {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	i, found := slices.BinarySearch(s.state.names, after)
	if found {
		i++
	}
	var page []memory.Space
	for _, name := range s.state.names[i:] {
		if len(page) >= min(limit, maxSpacePage) {
			break
		}
		if sp := s.state.spaces[name].public; sp.Incarnation != 0 {
			page = append(page, sp)
		}
	}
	return page
}

// CreateSpace makes a space, durable when it returns; creating an equal one again returns it. Metric 0 means cosine.
// A fault.AlreadyExists says that dimension, metric or embedder differ.
func (s *Store) CreateSpace(ctx context.Context, want memory.Space) (memory.Space, error) {
	room, err := s.reserveControl(ctx, 1)
	if err != nil {
		return memory.Space{}, err
	}
	defer room.Release()
	for try := 1; ; try++ {
		last, err := s.createSpace(want, func(r *spaceRecord) (change, error) { return s.commit(room, nil, r) })
		var lost error
		if last != nil {
			lost = await(ctx, last)
		}
		switch {
		case err != nil && (lost != nil || errors.Is(err, errDeleting)) && ctx.Err() == nil && try < createTries:
			continue // what stood in the way did not become durable, or is gone
		case err != nil || lost != nil:
			return memory.Space{}, cmp.Or(lost, err)
		}
		sp, _ := s.Space(want.Name)
		return sp, nil
	}
}

// createSpace decides and appends; it returns what to wait for, nil when the space is durable. With an error too: that
// the space is another one holds only if that one becomes durable.
func (s *Store) createSpace(want memory.Space, commit func(*spaceRecord) (change, error)) (memory.Durability, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if sp := s.state.spaces[want.Name]; sp != nil && sp.deleting {
		return sp.last, errDeleting
	}
	r, err := s.state.decideCreate(want, s.now().UnixNano())
	if err != nil {
		if sp := s.state.spaces[want.Name]; sp != nil && undecided(sp.last) {
			return sp.last, err
		}
		return nil, err
	}
	if r == nil {
		return s.state.spaces[want.Name].last, nil
	}
	c, err := commit(r)
	if err != nil {
		return nil, err
	}
	s.state.spaces[want.Name].last = c.commit
	return c.commit, nil
}
