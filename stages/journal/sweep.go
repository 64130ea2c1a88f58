package journal

import (
	"context"
	"time"

	"github.com/engram-stream/engram/stages/journal/log"
)

const (
	sweepEvery = 10 * time.Second
	maxSweep   = 256 // sessions ended in one append
)

// sweep ends expired sessions until the context ends. A failed round is tried again at the next tick.
func (s *Store) sweep(ctx context.Context) {
	defer close(s.swept)
	ticks := time.NewTicker(sweepEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		case <-s.kicked:
		}
		for ctx.Err() == nil {
			n, err := s.sweepOnce(ctx)
			if err != nil && ctx.Err() == nil {
				s.logger.Warn("journal: expired sessions could not be ended; trying again later", "error", err)
			}
			if err != nil || n < maxSweep {
				break
			}
		}
	}
}

// sweepOnce ends up to maxSweep sessions, and waits until that is durable.
func (s *Store) sweepOnce(ctx context.Context) (int, error) {
	s.mu.Lock()
	s.settle()
	due := s.presence.due(s.now(), maxSweep)
	s.mu.Unlock()
	if len(due) == 0 {
		return 0, nil
	}
	room, err := s.reserveControl(ctx, len(due))
	if err != nil {
		return 0, err
	}
	defer room.Release()
	c, ended, err := s.endDue(room)
	if err != nil || ended == 0 {
		return 0, err
	}
	return ended, await(ctx, c.commit)
}

// endDue appends the end of the sessions that are due now.
func (s *Store) endDue(room *log.Reservation) (c change, ended int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var records []record
	due := s.presence.due(now, maxSweep)
	for _, a := range due {
		if se := s.state.sessions[a.id]; se != nil {
			records = append(records, &endedRecord{Session: a.id, Epoch: se.epoch, At: now.UnixNano()})
		}
	}
	if len(records) > 0 {
		if c, err = s.commitEnds(room, records...); err != nil {
			return change{}, 0, err
		}
	}
	for _, a := range due {
		s.presence.forget(a.id)
	}
	return c, len(records), nil
}

// kickSweeper starts a round at once when too many sessions are detached. Callers hold mu.
func (s *Store) kickSweeper() {
	if !s.presence.over() {
		return
	}
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// detachOrphans starts the time to live of every session without a stream that is not counted as detached: all of them
// at the start, since their streams ended with the process before, and those whose end a failed write has taken back. A
// takeover that such a write has taken back leaves the stream that was there before. Callers hold mu.
func (s *Store) detachOrphans() {
	now := s.now()
	for id, se := range s.state.sessions {
		s.presence.revert(id, se.epoch)
		if !se.unary && !s.presence.knows(id) {
			s.presence.detach(id, se.epoch, now.Add(se.ttl))
		}
	}
	s.kickSweeper()
}
