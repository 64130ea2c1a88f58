package graph

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// scheduleModel drives a schedule's workers from one goroutine, in a random order, and knows what each may be given.
type scheduleModel struct {
	t *rapid.T
	s *schedule[int]

	seats   []*seat
	lines   []*keyline[int] // in a worker's hands, by seat
	batches []*modelBatch   // likewise; nil: the worker waits or has yet to ask

	waiting map[int][]*modelBatch // by key, in the order of their pushes
	running map[int]bool          // keys
	inARow  map[int]int           // urgent takes of a key since another one
	blocked map[int]bool          // keys that the queue behind is full of
	parked  map[int]bool
	pushed  int
	taken   int
}

type modelBatch struct {
	key, n int
	sender string
	urgent bool
}

const modelScheduleKeys = 5

func newScheduleModel(t *rapid.T, senders bool) *scheduleModel {
	desks := rapid.IntRange(1, 4).Draw(t, "desks")
	m := &scheduleModel{
		t: t, s: newSchedule[int](desks, true, true), lines: make([]*keyline[int], desks), batches: make([]*modelBatch, desks),
		waiting: map[int][]*modelBatch{}, running: map[int]bool{}, inARow: map[int]int{}, blocked: map[int]bool{}, parked: map[int]bool{},
	}
	m.s.full = func(key Route) bool {
		k := m.keyOf(key)
		if m.blocked[k] {
			m.parked[k] = true
		}
		return m.blocked[k]
	}
	for i := range desks {
		m.seats = append(m.seats, newSeat(i))
	}
	return m
}

func (m *scheduleModel) keyOf(r Route) (k int) {
	_, err := fmt.Sscan(r.Key, &k)
	require.NoError(m.t, err)
	return k
}

func (m *scheduleModel) push(senders bool) {
	b := &modelBatch{key: rapid.IntRange(0, modelScheduleKeys-1).Draw(m.t, "key"), n: m.pushed, urgent: rapid.IntRange(0, 3).Draw(m.t, "urgent") == 0}
	if senders {
		b.sender = rapid.SampledFrom([]string{"", "a", "b"}).Draw(m.t, "sender")
	}
	m.pushed++
	r := Route{Lane: b.key % len(m.seats), Key: fmt.Sprint(b.key), Sender: b.sender, Urgent: b.urgent}
	require.True(m.t, m.s.push(queued[int]{route: r, batch: &Batch[int]{Items: []int{b.n}}, weight: Window{1, int64(b.n)}}))
	m.waiting[b.key] = append(m.waiting[b.key], b)
}

// step lets one worker end what it has in hand and take what comes.
func (m *scheduleModel) step(at int) {
	w := m.seats[at]
	if last := m.batches[at]; last != nil {
		m.running[last.key] = false
	}
	q, line, _, took := m.s.next(w, m.lines[at])
	m.lines[at], m.batches[at] = line, nil
	select {
	case <-w.wake:
	default:
	}
	if took != tookBatch {
		require.Empty(m.t, m.ready(), "worker %d is given nothing", at)
		return
	}
	m.taken++
	m.batches[at] = m.check(q.batch.Items[0])
}

// check finds the batch that was taken and says whether it was its turn.
func (m *scheduleModel) check(n int) *modelBatch {
	for key, waiting := range m.waiting {
		for i, b := range waiting {
			if b.n != n {
				continue
			}
			require.False(m.t, m.running[key], "two workers have key %d", key)
			m.mayGo(b, waiting[:i], waiting[i+1:])
			m.running[key] = true
			m.waiting[key] = append(append([]*modelBatch(nil), waiting[:i]...), waiting[i+1:]...)
			return b
		}
	}
	require.Fail(m.t, "taken twice, or never pushed", "%d", n)
	return nil
}

func (m *scheduleModel) mayGo(b *modelBatch, before, after []*modelBatch) {
	all := append(append([]*modelBatch(nil), before...), after...)
	hurries := func(x *modelBatch) bool { // it is urgent, or in the way of an urgent one of its sender
		for _, y := range append(all, b) {
			if y.urgent && y.sender == x.sender && y.n >= x.n {
				return true
			}
		}
		return false
	}
	for _, x := range before {
		require.NotEqual(m.t, x.sender, b.sender, "%v has overtaken %v of its sender", *b, *x)
		if !hurries(b) && m.inARow[b.key] < urgentInARow {
			require.True(m.t, hurries(b), "%v has overtaken %v", *b, *x)
		}
	}
	if hurries(b) {
		m.inARow[b.key]++
		return
	}
	for _, x := range all {
		if hurries(x) {
			require.GreaterOrEqual(m.t, m.inARow[b.key], urgentInARow, "%v goes before the urgent %v", *b, *x)
		}
	}
	m.inARow[b.key] = 0
}

// ready lists the keys that a worker may be given.
func (m *scheduleModel) ready() (keys []int) {
	for key, waiting := range m.waiting {
		if len(waiting) > 0 && !m.running[key] && !m.parked[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// awake says that no worker sleeps through work.
func (m *scheduleModel) awake() {
	waiting, woken := 0, 0
	for i, w := range m.seats {
		switch {
		case w.waiting:
			waiting++
		case m.batches[i] == nil:
			woken++
		}
	}
	if len(m.ready()) > 0 && waiting > 0 {
		require.Positive(m.t, woken, "keys %v are ready and %d workers sleep", m.ready(), waiting)
	}
}

func (m *scheduleModel) unpark() {
	m.parked, m.blocked = map[int]bool{}, map[int]bool{}
	m.s.unpark()
}

// finish closes the schedule and has the workers take the rest.
func (m *scheduleModel) finish() {
	m.unpark()
	m.s.close()
	require.False(m.t, m.s.push(queued[int]{}))
	for m.taken < m.pushed {
		for i := range m.seats {
			m.step(i)
		}
	}
	for i, w := range m.seats {
		_, _, _, took := m.s.next(w, m.lines[i])
		require.Equal(m.t, tookEnd, took)
	}
	require.Zero(m.t, m.s.waiting)
	require.Empty(m.t, m.s.lines)
	for _, d := range m.s.desks {
		require.Zero(m.t, d.depth)
		require.Zero(m.t, d.waiting)
	}
}

func runScheduleModel(t *rapid.T, senders bool) {
	m := newScheduleModel(t, senders)
	for range rapid.IntRange(1, 80).Draw(t, "steps") {
		switch rapid.IntRange(0, 10).Draw(t, "step") {
		case 0:
			m.blocked[rapid.IntRange(0, modelScheduleKeys-1).Draw(t, "full")] = true
		case 1:
			m.unpark()
		case 2, 3, 4, 5:
			m.step(rapid.IntRange(0, len(m.seats)-1).Draw(t, "worker"))
		default:
			m.push(senders)
		}
		m.awake()
	}
	m.finish()
}

// TestScheduleKeepsEachKeyInOrder: without senders, batches of a key go in the order they came, urgent or not.
func TestScheduleKeepsEachKeyInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runScheduleModel(t, false) })
}

// TestScheduleLetsUrgentBatchesPass: an urgent batch goes before those of other senders and after those of its own.
func TestScheduleLetsUrgentBatchesPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runScheduleModel(t, true) })
}

func pushed(t *testing.T, s *schedule[int], r Route, n int) {
	t.Helper()
	require.True(t, s.push(queued[int]{batch: &Batch[int]{Items: []int{n}}, route: r, weight: Window{1, 1}}))
}

// TestAWorkerWithNothingTakesAKeyOver: whole, and for as long as something of it waits.
func TestAWorkerWithNothingTakesAKeyOver(t *testing.T) {
	s := newSchedule[int](2, true, true)
	busy, idle := newSeat(0), newSeat(1)
	for n := range 2 {
		pushed(t, s, Route{Key: "a"}, n)
		pushed(t, s, Route{Key: "b"}, n)
		pushed(t, s, Route{Key: "b"}, n)
	}
	_, a, _, _ := s.next(busy, nil)
	require.Equal(t, "a", a.key.Key)
	_, b, _, _ := s.next(idle, nil)
	require.Equal(t, "b", b.key.Key)
	require.EqualValues(t, 1, s.desks[1].takeovers)
	require.Equal(t, Window{1, 1}, s.desks[0].depth)
	require.Equal(t, Window{3, 3}, s.desks[1].depth, "all of the key has come along")
	for range 3 {
		_, b, _, _ = s.next(idle, b)
		require.Equal(t, "b", b.key.Key)
	}
	require.EqualValues(t, 1, s.desks[1].takeovers, "it stays")
	_, last, _, _ := s.next(idle, b)
	require.Nil(t, last, "the other worker has the other key in hand")
	pushed(t, s, Route{Key: "b"}, 9)
	require.Equal(t, Window{1, 1}, minus(s.desks[0].depth, Window{1, 1}), "once it was empty it is at home again")
}

func minus(a, b Window) Window { return a.minus(b) }

// TestKeysTakeTurnsHoweverTheyAreSpread: all at one desk, the workers still run them in turn.
func TestKeysTakeTurnsHoweverTheyAreSpread(t *testing.T) {
	const keys, each, workers = 24, 40, 3
	s := newSchedule[int](workers, true, true)
	home := func(k int) int { return max(0, k-keys+2) } // 22, 1 and 1
	for n := range each {
		for k := range keys {
			pushed(t, s, Route{Lane: home(k), Key: fmt.Sprint(k)}, n)
		}
	}
	seats, lines, ran := make([]*seat, workers), make([]*keyline[int], workers), map[string]int{}
	for i := range seats {
		seats[i] = newSeat(i)
	}
	for range keys * each / 2 {
		for i := range seats {
			if q, line, _, took := s.next(seats[i], lines[i]); took == tookBatch {
				lines[i] = line
				ran[q.route.Key]++
			}
		}
		least, most := each, 0
		for k := range keys {
			least, most = min(least, ran[fmt.Sprint(k)]), max(most, ran[fmt.Sprint(k)])
		}
		require.LessOrEqual(t, most-least, 2)
	}
}

// TestWhoMarksAllAsUrgentShutsNobodyOut: neither another key nor another sender of the same.
func TestWhoMarksAllAsUrgentShutsNobodyOut(t *testing.T) {
	for name, patient := range map[string]Route{"key": {Key: "patient"}, "sender": {Key: "hasty", Sender: "patient"}} {
		t.Run(name, func(t *testing.T) {
			s, w := newSchedule[int](1, true, true), newSeat(0)
			pushed(t, s, patient, -1)
			var line *keyline[int]
			for n := range 2 * urgentInARow {
				pushed(t, s, Route{Key: "hasty", Sender: "hasty", Urgent: true}, n)
			}
			at := -1
			for n := range 2*urgentInARow + 1 {
				q, l, _, _ := s.next(w, line)
				if line = l; q.batch.Items[0] == -1 {
					at = n
				}
			}
			require.Equal(t, urgentInARow, at)
		})
	}
}

// TestWorkersOfALaneShareItsFIFO: several workers at a lane have several of its batches at once, and no other's.
func TestWorkersOfALaneShareItsFIFO(t *testing.T) {
	s := newSchedule[int](2, false, false)
	one, two, other := newSeat(0), newSeat(0), newSeat(1)
	pushed(t, s, Route{Key: "a"}, 1)
	pushed(t, s, Route{Key: "b"}, 2)
	for i, w := range []*seat{one, two} {
		q, line, _, _ := s.next(w, nil)
		require.Nil(t, line)
		require.Equal(t, i+1, q.batch.Items[0])
		require.Empty(t, q.route.Key, "nor does what comes of it go on by key")
	}
	_, _, _, took := s.next(other, nil)
	require.Equal(t, tookNone, took)
	pushed(t, s, Route{Key: "c"}, 3)
	require.Empty(t, other.wake)
}

func TestSeizedBatchesAreAllThatWait(t *testing.T) {
	s, w := newSchedule[int](1, true, true), newSeat(0)
	for n := range 5 {
		pushed(t, s, Route{Key: fmt.Sprint(n % 2), Sender: fmt.Sprint(n), Urgent: n == 3}, n)
	}
	_, line, _, _ := s.next(w, nil)
	require.Len(t, s.seize(), 4)
	_, _, _, took := s.next(w, line)
	require.Equal(t, tookEnd, took)
	require.Empty(t, s.lines)
}
