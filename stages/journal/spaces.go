package journal

import (
	"context"
	"slices"

	"github.com/engram-stream/engram/internal/memory"
)

const maxSpacePage = 1000

// Space describes a space; false: there is none. Committed is durable; a space whose creation is not durable yet is
// described too, with Committed 0, and may vanish again.
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
// A fault.AlreadyExists says that dimension or metric differ.
func (s *Store) CreateSpace(ctx context.Context, want memory.Space) (memory.Space, error) {
	room, err := s.reserveControl(ctx, 1)
	if err != nil {
		return memory.Space{}, err
	}
	defer room.Release()
	last, err := s.createSpace(want, func(r *spaceRecord) (change, error) { return s.commit(room, nil, r) })
	if err != nil {
		return memory.Space{}, err
	}
	if last != nil {
		if err := await(ctx, last); err != nil {
			return memory.Space{}, err
		}
	}
	sp, _ := s.Space(want.Name)
	return sp, nil
}

// createSpace decides and appends; it returns what to wait for, nil when the space is durable.
func (s *Store) createSpace(want memory.Space, commit func(*spaceRecord) (change, error)) (memory.Durability, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	r, err := s.state.decideCreate(want, s.now().UnixNano())
	if err != nil {
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
