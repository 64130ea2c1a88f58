package journal

import (
	"slices"

	"github.com/engram-stream/engram/stages/journal/log"
)

func (s *state) applyOpened(lsn log.LSN, r *openedRecord) error {
	if s.sessions[r.Session] != nil {
		return contradiction(lsn, "session %s is opened twice", r.Session)
	}
	now := s.now
	s.tick(r.At)
	se := &sess{
		id: r.Session, space: r.Space, epoch: 1, writer: r.Writer, heldSince: 1, expected: 1,
		tokenHash: r.TokenHash, ttl: r.TTL, opened: r.At,
	}
	s.enter(se)
	s.ids.insert(se.id)
	s.done(lsn, nil, se, func() {
		s.leave(se)
		s.ids.remove(se.id)
		s.now = now
	})
	return nil
}

func (s *state) applyResumed(lsn log.LSN, r *resumedRecord) error {
	se := s.sessions[r.Session]
	if se == nil || se.unary || r.Epoch != se.epoch+1 || r.LastCommitted >= se.expected {
		return contradiction(lsn, "session %s is resumed in epoch %d", r.Session, r.Epoch)
	}
	before, now := *se, s.now
	s.tick(r.At)
	se.epoch = r.Epoch
	if r.Writer == "" || r.Writer != se.writer {
		se.writer, se.heldSince = r.Writer, r.Epoch
	}
	s.done(lsn, nil, se, func() { restoreSession(se, before); s.now = now })
	return nil
}

func (s *state) applyEnded(lsn log.LSN, r *endedRecord) error {
	se := s.sessions[r.Session]
	if se == nil || se.unary || r.Epoch != se.epoch {
		return contradiction(lsn, "session %s is ended in epoch %d", r.Session, r.Epoch)
	}
	now, rejected := s.now, s.rejected
	s.tick(r.At)
	s.drop(se)
	s.ending[se.id] = se
	s.done(lsn, nil, se, func() {
		delete(s.ending, se.id)
		s.enter(se)
		s.now, s.rejected = now, rejected
	}).ends = []*sess{se}
	return nil
}

// enter adds a session to those that are open.
func (s *state) enter(se *sess) {
	s.sessions[se.id] = se
	of := s.bySpace[se.space]
	if of == nil {
		of = map[*sess]struct{}{}
		s.bySpace[se.space] = of
	}
	of[se] = struct{}{}
}

// leave takes it out.
func (s *state) leave(se *sess) {
	delete(s.sessions, se.id)
	of := s.bySpace[se.space]
	if delete(of, se); len(of) == 0 {
		delete(s.bySpace, se.space)
	}
}

// drop takes a session out for good, with what is known of its rejections.
func (s *state) drop(se *sess) {
	s.leave(se)
	s.rejected -= len(se.rejected.ranges)
}

// openUnary opens the session of a unary call with its first unit.
func (s *state) openUnary(r *unitRecord) (se *sess, undo func()) {
	se = &sess{
		id: r.Session, space: r.Space, epoch: r.Epoch, expected: 1, opened: max(s.now, r.At), unary: true, remember: r.Remember,
	}
	s.enter(se)
	line := s.line(se)
	line.pushBack(se)
	return se, func() {
		line.popBack()
		s.leave(se)
	}
}

func (s *state) line(se *sess) *fifo {
	if se.remember {
		return &s.remembered
	}
	return &s.oneShot
}

// evictUnary forgets the unary sessions that are over the limits of count and age as of the state's clock, except the
// one in hand, and returns them, oldest first.
func (s *state) evictUnary(keep *sess) (evicted []*sess) {
	for _, line := range []struct {
		*fifo
		count int
		age   int64
	}{{&s.remembered, maxRemembered, int64(rememberFor)}, {&s.oneShot, maxOneShot, int64(oneShotFor)}} {
		for line.len() > 0 {
			oldest := line.front()
			if oldest == keep || (line.len() <= line.count && s.now-oldest.opened <= line.age) {
				break
			}
			line.popFront()
			if !oldest.gone {
				s.drop(oldest)
			}
			evicted = append(evicted, oldest)
		}
	}
	return evicted
}

// readmitUnary takes an eviction back.
func (s *state) readmitUnary(evicted []*sess) {
	for _, se := range slices.Backward(evicted) {
		s.line(se).pushFront(se)
		if !se.gone {
			s.enter(se)
		}
	}
}

// fifo is a queue of sessions in the order of their opening, from which a rollback can take back either end's change.
type fifo struct {
	items []*sess
	head  int // items before it are gone
}

func (f *fifo) len() int          { return len(f.items) - f.head }
func (f *fifo) front() *sess      { return f.items[f.head] }
func (f *fifo) pushBack(se *sess) { f.items = append(f.items, se) }

func (f *fifo) popBack() {
	last := len(f.items) - 1
	f.items[last] = nil
	f.items = f.items[:last]
}

func (f *fifo) popFront() {
	f.items[f.head] = nil
	f.head++
	if f.head > 1024 && f.head > len(f.items)/2 {
		f.items = slices.Delete(f.items, 0, f.head)
		f.head = 0
	}
}

func (f *fifo) pushFront(se *sess) {
	if f.head == 0 {
		f.items = slices.Insert(f.items, 0, se)
		return
	}
	f.head--
	f.items[f.head] = se
}
