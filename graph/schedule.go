package graph

import (
	"slices"
	"sync"
)

// schedule decides which worker of an edge runs which batch when. A worker has a desk, and a key waits at one desk: at
// its lane's, until another worker takes it over. A key that becomes ready draws a ticket:
//
//  1. A worker takes, of what is ready at its desk, the key with the lowest ticket; an urgent one first.
//  2. A key of another desk whose ticket is lower by more than the number of desks, or any if its own desk has none, it
//     takes over: whole, with all that waits of it, and it stays at the new desk until nothing of it is left.
//  3. While a batch of a key runs, nobody takes another. When it is done the key is ready again, behind all that are.
//
// So keys take turns, a batch each, however they were spread over the desks, and no worker waits while a key is ready.
// Where a stage holds items back, or lets several workers at a lane, keys are not told apart and nothing is taken over.
//
// Safe for concurrent use.
type schedule[T any] struct {
	// Set when made, never changed.
	keyed     bool                 // keys are told apart, and taken over
	exclusive bool                 // one worker at a time runs what is of a line
	full      func(key Route) bool // whether the queue behind is full of a key (see edge.full); nil: it never is

	mu      sync.Mutex
	lines   map[lineKey]*keyline[T] // guarded by mu; those of which something waits or runs
	spare   []*keyline[T]           // guarded by mu; to be used again
	desks   []desk[T]               // guarded by mu; one a lane
	parked  []*keyline[T]           // guarded by mu; not ready, since the queue behind is full of them
	crowded bool                    // guarded by mu; a queue before this one has parked a key
	tickets uint64                  // guarded by mu; drawn so far
	waiting int                     // guarded by mu; batches in all lines
	idle    int                     // guarded by mu; seats that wait
	closed  bool                    // guarded by mu
}

// lineKey is what tells lines apart.
type lineKey struct {
	lane int
	key  string
}

// desk is where keys wait for a worker. Guarded by its schedule.
type desk[T any] struct {
	ready     [2]queue[turn[T]]
	inARow    int     // urgent takes of its workers since the last other one
	idle      []*seat // its workers that wait
	waiting   int     // batches of the lines here
	depth     Window  // their weight
	takeovers uint64  // keys taken over from other desks
}

// turn is a line's place at a desk; void once the line has another ticket.
type turn[T any] struct {
	line   *keyline[T]
	ticket uint64
}

// The levels of desk.ready.
const (
	levelUrgent = iota
	levelNormal
	levels
)

// seat is one worker of a desk.
type seat struct {
	desk    int
	wake    chan struct{} // holds a token when there may be something to see
	waiting bool          // guarded by the schedule's mu; it is in its desk's idle list
	hand    hand
}

func newSeat(desk int) *seat { return &seat{desk: desk, wake: make(chan struct{}, 1)} }

func newSchedule[T any](lanes int, keyed, exclusive bool) *schedule[T] {
	return &schedule[T]{keyed: keyed, exclusive: exclusive, lines: make(map[lineKey]*keyline[T]), desks: make([]desk[T], lanes)}
}

// push queues a batch; false once the schedule is closed.
func (s *schedule[T]) push(q queued[T]) bool {
	if !s.keyed {
		q.route.Key, q.route.Sender = "", ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	l := s.line(q.route)
	l.add(q)
	s.waiting++
	d := &s.desks[l.desk]
	d.waiting++
	d.depth = d.depth.plus(q.weight)
	switch {
	case l.running || l.parked:
	case l.ticket == 0, q.route.Urgent && !l.hurried:
		s.ready(l)
	}
	return true
}

func (s *schedule[T]) line(r Route) *keyline[T] {
	at := lineKey{r.Lane, r.Key}
	l := s.lines[at]
	if l == nil {
		if n := len(s.spare); n > 0 {
			l, s.spare = s.spare[n-1], s.spare[:n-1]
		} else {
			l = new(keyline[T])
		}
		l.key, l.desk = Route{Lane: r.Lane, Key: r.Key}, r.Lane
		s.lines[at] = l
	}
	return l
}

// ready gives a line a place at its desk, behind all that are ready, and wakes who may take it.
func (s *schedule[T]) ready(l *keyline[T]) {
	s.tickets++
	l.ticket, l.hurried = s.tickets, l.hurry()
	level := levelNormal
	if l.hurried {
		level = levelUrgent
	}
	s.desks[l.desk].ready[level].push(turn[T]{l, l.ticket})
	s.rouse(l.desk)
}

// rouse wakes a worker of a desk, or where keys are taken over one of any.
func (s *schedule[T]) rouse(at int) {
	if s.idle == 0 {
		return
	}
	for i := range s.desks {
		d := &s.desks[(at+i)%len(s.desks)]
		if len(d.idle) > 0 {
			s.wake(d.idle[len(d.idle)-1])
			return
		}
		if !s.keyed {
			return
		}
	}
}

func (s *schedule[T]) wake(w *seat) {
	s.rise(w)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// rise takes a worker that waits off its desk's list.
func (s *schedule[T]) rise(w *seat) {
	if !w.waiting {
		return
	}
	w.waiting = false
	s.idle--
	idle := s.desks[w.desk].idle
	for i, other := range idle {
		if other == w {
			idle[i] = idle[len(idle)-1]
			s.desks[w.desk].idle = idle[:len(idle)-1]
			return
		}
	}
}

// next ends the batch of done, nil for none, and takes the worker's next. The line is nil where done need not be told.
func (s *schedule[T]) next(w *seat, done *keyline[T]) (q queued[T], l *keyline[T], crowded bool, t taken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rise(w)
	if done != nil {
		s.done(done)
	}
	l = s.choose(w.desk)
	if l == nil {
		if s.endedFor(w.desk) {
			return q, nil, false, tookEnd
		}
		w.waiting = true
		s.idle++
		s.desks[w.desk].idle = append(s.desks[w.desk].idle, w)
		if len(s.parked) > 0 {
			return q, nil, false, tookFull
		}
		return q, nil, false, tookNone
	}
	q = s.take(l)
	crowded, s.crowded = s.crowded, false
	if !s.exclusive {
		s.done(l)
		l = nil
	}
	return q, l, crowded, tookBatch
}

// take takes a line's batch, and tells all when it was the last of a closed schedule.
func (s *schedule[T]) take(l *keyline[T]) queued[T] {
	q := l.take()
	l.running = true
	s.waiting--
	d := &s.desks[l.desk]
	d.waiting--
	d.depth = d.depth.minus(q.weight)
	if s.closed && s.endedFor(l.desk) {
		s.wakeAll()
	}
	return q
}

// done says that no batch of a line runs any more.
func (s *schedule[T]) done(l *keyline[T]) {
	l.running = false
	if l.count > 0 {
		s.ready(l)
		return
	}
	delete(s.lines, lineKey{l.key.Lane, l.key.Key})
	if len(s.spare) < spareLines && l.reset() {
		s.spare = append(s.spare, l)
	}
}

// choose takes the line that a desk's worker runs next off the desk where it waits; nil when none is ready for it.
func (s *schedule[T]) choose(at int) *keyline[T] {
	for {
		level, from := s.where(at)
		if from < 0 {
			return nil
		}
		d := &s.desks[at]
		if d.inARow++; level == levelNormal {
			d.inARow = 0
		}
		l := s.desks[from].ready[level].take().line
		l.ticket = 0
		if s.full != nil && s.full(l.key) {
			l.parked = true
			s.parked = append(s.parked, l)
			continue
		}
		if from != at {
			s.takeOver(l, at)
		}
		return l
	}
}

// where finds the level and the desk that a desk's worker takes from; the desk is -1 when nothing is ready for it.
func (s *schedule[T]) where(at int) (level, from int) {
	first := levelUrgent
	if s.desks[at].inARow >= urgentInARow {
		first = levelNormal
	}
	for i := range levels {
		level = (first + i) % levels
		if from = s.whose(level, at); from >= 0 {
			return level, from
		}
	}
	return 0, -1
}

// whose is rules 1 and 2: the desk with the line that a desk's worker takes at a level, or -1.
func (s *schedule[T]) whose(level, at int) (from int) {
	own := s.desks[at].head(level)
	if !s.keyed {
		if own == 0 {
			return -1
		}
		return at
	}
	from, oldest := -1, uint64(0)
	for i := range s.desks {
		if head := s.desks[i].head(level); head != 0 && (from < 0 || head < oldest) {
			from, oldest = i, head
		}
	}
	if own != 0 && own <= oldest+uint64(len(s.desks)) {
		return at
	}
	return from
}

// head is the lowest ticket at a level; 0 when nothing is ready there.
func (d *desk[T]) head(level int) uint64 {
	q := &d.ready[level]
	for q.length() > 0 {
		if first := q.first(); first.ticket == first.line.ticket {
			return first.ticket
		}
		q.take() // the line has got a better place since
	}
	return 0
}

// takeOver moves a line to another desk.
func (s *schedule[T]) takeOver(l *keyline[T], to int) {
	from := &s.desks[l.desk]
	from.waiting -= l.count
	from.depth = from.depth.minus(l.depth)
	l.desk = to
	d := &s.desks[to]
	d.waiting += l.count
	d.depth = d.depth.plus(l.depth)
	d.takeovers++
}

// unpark makes what is parked ready.
func (s *schedule[T]) unpark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	parked := s.parked
	s.parked = nil
	for _, l := range parked {
		l.parked = false
		s.ready(l)
	}
}

// over says whether more waits of a key than a share. If so, the next take tells of it.
func (s *schedule[T]) over(key Route, share Window) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[lineKey{key.Lane, key.Key}]
	if l == nil || l.depth.Items < share.Items && l.depth.Bytes < share.Bytes {
		return false
	}
	s.crowded = true
	return true
}

// close says that no more will come; what waits is still taken.
func (s *schedule[T]) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wakeAll()
}

// seize closes the schedule and takes everything that waits.
func (s *schedule[T]) seize() []queued[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []queued[T]
	for at, l := range s.lines {
		all = append(all, l.all()...)
		if !l.running {
			delete(s.lines, at)
		}
	}
	for i := range s.desks {
		d := &s.desks[i]
		d.ready, d.waiting, d.depth = [levels]queue[turn[T]]{}, 0, Window{}
	}
	s.parked, s.waiting, s.closed = nil, 0, true
	s.wakeAll()
	return all
}

// deepest returns how many lines there are, and what waits in the one with the most items.
func (s *schedule[T]) deepest() (lines int, most Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if l.depth.Items > most.Items {
			most = l.depth
		}
	}
	return len(s.lines), most
}

// deepestKeys returns the up to n keys of which most items wait, the most first.
func (s *schedule[T]) deepestKeys(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	top := make([]*keyline[T], 0, n+1)
	for _, l := range s.lines {
		if l.key.Key == "" || l.depth.Items == 0 || len(top) == n && l.depth.Items <= top[n-1].depth.Items {
			continue
		}
		at := len(top)
		for at > 0 && top[at-1].depth.Items < l.depth.Items {
			at--
		}
		top = slices.Insert(top, at, l)
		top = top[:min(n, len(top))]
	}
	keys := make([]string, len(top))
	for i, l := range top {
		keys[i] = l.key.Key
	}
	return keys
}

// queuedOf returns what waits of a key.
func (s *schedule[T]) queuedOf(key string) (w Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lane := range s.desks {
		if l := s.lines[lineKey{lane, key}]; l != nil {
			w = w.plus(l.depth)
		}
	}
	return w
}

func (s *schedule[T]) readDesks() []DeskStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]DeskStats, len(s.desks))
	for i := range s.desks {
		out[i] = DeskStats{Depth: s.desks[i].depth, TakenOver: s.desks[i].takeovers}
	}
	return out
}

func (s *schedule[T]) wakeAll() {
	for i := range s.desks {
		for len(s.desks[i].idle) > 0 {
			s.wake(s.desks[i].idle[0])
		}
	}
}

// endedFor says whether nothing will come any more for a desk's workers.
func (s *schedule[T]) endedFor(at int) bool {
	if s.keyed {
		return s.closed && s.waiting == 0
	}
	return s.closed && s.desks[at].waiting == 0
}
