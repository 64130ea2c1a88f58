package journal

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// portrait is all of a state that its records determine, in comparable form.
type portrait struct {
	Spaces      map[string]string
	Names       []string
	Sessions    map[string]string
	Remembered  []string
	OneShot     []string
	Incarnation uint64
	Now         int64
	Rejected    int
}

func portraitOf(s *state) portrait {
	p := portrait{
		Spaces: map[string]string{}, Names: []string{}, Sessions: map[string]string{},
		Remembered: idsOf(&s.remembered), OneShot: idsOf(&s.oneShot), Incarnation: s.incarnation, Now: s.now, Rejected: s.rejected,
	}
	for _, name := range s.names {
		if sp := s.spaces[name]; !sp.deleting { // until it is settled, a deleted space stays, as readers see it
			p.Names = append(p.Names, name)
			p.Spaces[name] = fmt.Sprintf("%+v next %d", sp.Space, sp.next)
		}
	}
	for id, se := range s.sessions {
		v := *se
		v.last, v.taken, v.public = nil, nil, progress{} // what is public depends on what is settled: see checkSessions
		p.Sessions[id] = fmt.Sprintf("%+v", v)
	}
	return p
}

func idsOf(f *fifo) (ids []string) {
	for _, se := range f.items[f.head:] {
		ids = append(ids, se.id)
	}
	return ids
}

// history drives a state as the store does, keeps what it appended, and checks each step against a model that is
// nothing but the list of the records that stand.
type history struct {
	state   *state
	records []record // that stand, by LSN from 1
	durable int      // of them
	clock   int64
}

func newHistory() *history {
	return &history{state: smallState(), clock: 1_000}
}

// smallState is a state that soon reaches its limits.
func smallState() *state {
	s := newState(maxSpaces)
	s.maxRanges, s.maxRejected = 4, 9
	return s
}

func (h *history) append(t *rapid.T, rs ...record) {
	for _, r := range rs {
		if u, ok := r.(*unitRecord); ok {
			u.Ordinal = h.ordinals() + 1
		}
		h.records = append(h.records, r)
		require.NoError(t, h.state.apply(log.LSN(len(h.records)), r))
	}
}

// ordinals counts the ops that stand.
func (h *history) ordinals() (n log.Ordinal) {
	for _, r := range h.records {
		if u, ok := r.(*unitRecord); ok {
			n += log.Ordinal(u.Count)
		}
	}
	return n
}

// replayed returns the state that the first n records make.
func (h *history) replayed(t *rapid.T, n int) *state {
	s := smallState()
	for i, r := range h.records[:n] {
		again, err := decodeRecord(r.kind(), r.append(nil)) // through the codec, as a replay reads it
		require.NoError(t, err)
		if u, ok := again.(*unitRecord); ok {
			u.Ordinal = r.(*unitRecord).Ordinal
		}
		require.NoError(t, s.apply(log.LSN(i+1), again))
		s.settle(log.LSN(i + 1))
	}
	return s
}

var (
	historySpaces   = []string{"faces", "birds"}
	historySessions = []string{"s1", "s2", "s3", "u1", "r1"}
	historyToken    = []byte("token")
)

func (h *history) offer(t *rapid.T) {
	id := rapid.SampledFrom(historySessions).Draw(t, "session")
	space := spaceOf(id)
	from := &session.Attachment{SessionID: id, Space: space, Unary: id[0] != 's', Remember: id[0] == 'r'}
	expected, epoch := h.model(id)
	from.Epoch = epoch
	if !from.Unary && rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
		from.Epoch = epoch - 1
	}
	o := offer{
		from:       from,
		first:      uint64(max(1, int(expected)+rapid.IntRange(-4, 2).Draw(t, "from expected"))),
		dimensions: rapid.SliceOfN(rapid.SampledFrom([]int{0, 3, 3, 3, 4}), 1, 6).Draw(t, "dimensions"),
	}
	for range o.dimensions {
		o.embedders = append(o.embedders, rapid.SampledFrom([]string{"", "", "words"}).Draw(t, "embedder"))
	}
	d := h.state.decide(&o, h.clock)
	h.judge(t, &o, &d, expected, epoch)
	if d.refusal != nil {
		return
	}
	u := unit{offer: o, ops: make([]session.Op, len(o.dimensions))}
	for _, i := range d.mismatched {
		u.ops[i].Op = memory.Op{Kind: memory.OpRejected, Rejection: &memory.Rejection{Code: 3, Reason: "dimension"}}
	}
	h.append(t, u.records(&d, h.clock)...)
}

// model derives the next number and the epoch of a session from the records that stand. Epoch 0: not open. When a unary
// session is forgotten is a test of its own: here the state is asked.
func (h *history) model(id string) (expected, epoch uint64) {
	expected = 1
	if id[0] != 's' && h.state.sessions[id] == nil {
		return 1, 0
	}
	for _, r := range h.records {
		switch r := r.(type) {
		case *unitRecord:
			if r.Session == id {
				expected = r.First + r.Count
			}
		case *openedRecord:
			if r.Session == id {
				expected, epoch = 1, 1
			}
		case *resumedRecord:
			if r.Session == id {
				epoch = r.Epoch
			}
		case *endedRecord:
			if r.Session == id {
				expected, epoch = 1, 0
			}
		case *deletedRecord:
			if r.Space == spaceOf(id) {
				expected, epoch = 1, 0
			}
		}
	}
	return expected, epoch
}

// spaceOf returns the space of a session of the history.
func spaceOf(id string) string { return historySpaces[int(id[1])%2] }

// judge checks a decision against the protocol's table.
func (h *history) judge(t *rapid.T, o *offer, d *decision, expected, epoch uint64) {
	last := o.first + uint64(len(o.dimensions)) - 1
	switch {
	case !o.from.Unary && (epoch == 0 || o.from.Epoch != epoch):
		require.Equal(t, session.Superseded, d.refusal.Verdict)
	case o.first > expected:
		require.Equal(t, session.Nacked, d.refusal.Verdict)
		require.Equal(t, session.NackSequenceGap, d.refusal.Nack)
		require.Equal(t, expected, d.refusal.Expected)
	case last < expected:
		require.Equal(t, session.Duplicate, d.refusal.Verdict)
		require.NotZero(t, d.refusal.Version)
		h.judgeRejected(t, d.rejected, o, last)
	case h.deleting(o.from.Space):
		require.Equal(t, session.NackStorageUnavailable, d.refusal.Nack)
	default:
		require.Nil(t, d.refusal)
		require.EqualValues(t, expected-o.first, d.skip)
		require.Equal(t, d.skip > 0, d.duplicate != nil)
		if d.skip > 0 {
			h.judgeRejected(t, d.rejected, o, expected-1)
		}
	}
}

// judgeRejected checks that a unary duplicate is told exactly what was rejected of its numbers, as far as it is kept.
func (h *history) judgeRejected(t *rapid.T, told []rejectedRange, o *offer, last uint64) {
	if !o.from.Unary {
		require.Empty(t, told)
		return
	}
	h.compareRejected(t, told, o.from.SessionID, o.first, last)
}

// compareRejected compares ranges with what the records say of the numbers first to last of a session.
func (h *history) compareRejected(t *rapid.T, told []rejectedRange, id string, first, last uint64) {
	if h.lives(id) > 1 {
		return // an id is used once in life; the model does not tell its lives apart
	}
	forgotten := h.state.sessions[id].rejected.forgotten
	var want, got []uint64
	for _, rec := range h.records {
		if u, ok := rec.(*unitRecord); ok && u.Session == id {
			for _, run := range u.Rejected {
				for n := u.First + run.Start; n < u.First+run.Start+run.Count; n++ {
					if n >= first && n <= last && n > forgotten {
						want = append(want, n)
					}
				}
			}
		}
	}
	for _, r := range told {
		for n := r.first; n <= r.last(); n++ {
			if n > forgotten {
				got = append(got, n)
			}
		}
	}
	require.Equal(t, want, got)
}

func (h *history) lives(id string) (n int) {
	for _, r := range h.records {
		switch r := r.(type) {
		case *openedRecord:
			if r.Session == id {
				n++
			}
		case *unitRecord:
			if r.Session == id && r.Unary && r.First == 1 {
				n++
			}
		}
	}
	return n
}

func (h *history) openOrResume(t *rapid.T) {
	id := rapid.SampledFrom(historySessions[:3]).Draw(t, "session")
	expected, epoch := h.model(id)
	if h.state.ending[id] != nil {
		return // an id is used once in life; here only after its end is settled
	}
	if epoch == 0 {
		h.append(t, &openedRecord{Session: id, Space: spaceOf(id), TokenHash: sha256.Sum256(historyToken), TTL: time.Hour, At: h.clock})
		return
	}
	q := session.OpenRequest{
		SessionID: id, Space: spaceOf(id), Token: historyToken,
		LastCommitted: uint64(rapid.IntRange(0, int(expected)).Draw(t, "last committed")),
		Writer:        rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "writer"),
	}
	r, err := h.state.decideResume(q, h.clock)
	rejected, writer := h.state.sessions[id].rejected, h.state.sessions[id].writer
	anew := q.LastCommitted == 0 && q.Writer != "" && q.Writer != writer
	if q.LastCommitted >= expected || q.LastCommitted < rejected.forgotten && !anew {
		require.Equal(t, fault.FailedPrecondition, fault.KindOf(err))
		return
	}
	require.NoError(t, err)
	require.Equal(t, epoch+1, r.Epoch)
	h.append(t, r)
	h.compareRejected(t, rejected.within(q.LastCommitted+1, expected-1), id, q.LastCommitted+1, expected-1)
}

func (h *history) end(t *rapid.T) {
	id := rapid.SampledFrom(historySessions[:3]).Draw(t, "session")
	if _, epoch := h.model(id); epoch != 0 {
		h.append(t, &endedRecord{Session: id, Epoch: epoch, At: h.clock})
	}
}

func (h *history) deleting(space string) bool {
	sp := h.state.spaces[space]
	return sp != nil && sp.deleting
}

func (h *history) remove(t *rapid.T) {
	name := rapid.SampledFrom(historySpaces).Draw(t, "space")
	if sp := h.state.spaces[name]; sp != nil && !sp.deleting {
		h.append(t, &deletedRecord{Space: name, Incarnation: sp.Incarnation, At: h.clock})
	}
}

func (h *history) create(t *rapid.T) {
	want := memory.Space{Name: rapid.SampledFrom(historySpaces).Draw(t, "space"), Dimension: rapid.SampledFrom([]int{3, 4}).Draw(t, "dimension"), Metric: memory.L2}
	if h.deleting(want.Name) {
		return // the store waits
	}
	r, err := h.state.decideCreate(want, h.clock)
	sp := h.state.spaces[want.Name]
	switch {
	case err != nil:
		require.Equal(t, fault.AlreadyExists, fault.KindOf(err))
		require.False(t, sp.Dimension == want.Dimension && sp.Metric == want.Metric)
	case r == nil:
		require.Equal(t, want.Dimension, sp.Dimension)
	default:
		require.True(t, sp == nil || sp.Dimension == 0)
		h.append(t, r)
	}
}

func (h *history) settle(t *rapid.T) {
	h.durable = rapid.IntRange(h.durable, len(h.records)).Draw(t, "durable")
	h.state.settle(log.LSN(h.durable))
}

func (h *history) fail(t *rapid.T) {
	h.durable = rapid.IntRange(h.durable, len(h.records)).Draw(t, "durable")
	h.state.rollback(log.LSN(h.durable))
	h.records = h.records[:h.durable]
}

func (h *history) wait(t *rapid.T) {
	h.clock += rapid.SampledFrom([]int64{1, int64(oneShotFor) + 1, int64(rememberFor) + 1, -5}).Draw(t, "nanoseconds")
}

// checkSessions checks that what others see of the sessions that can be resumed is what the settled records say, and that
// these are listed, in order.
func (h *history) checkSessions(t *rapid.T) {
	settled, seen := map[string]progress{}, map[string]progress{}
	for id, se := range h.replayed(t, h.durable).sessions {
		if !se.unary {
			settled[id] = se.progress()
		}
	}
	listed := h.state.ids.after("", len(historySessions)+1)
	require.IsIncreasing(t, append([]string{""}, listed...))
	for _, id := range listed {
		se := h.state.known(id)
		require.NotNil(t, se)
		if se.public.epoch != 0 {
			seen[id] = se.public
		}
	}
	require.Equal(t, settled, seen)
}

// Replaying the records that stand makes the live state, whatever was taken back in between; numbers of a session are
// contiguous and appended once, versions of a space are dense, and nothing is appended under an old epoch.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		t.Repeat(map[string]func(*rapid.T){
			"offer": h.offer, "offer again": h.offer, "open or resume": h.openOrResume, "end": h.end, "create": h.create, "delete": h.remove,
			"settle": h.settle, "fail": h.fail, "wait": h.wait,
			"": func(t *rapid.T) {
				require.Equal(t, portraitOf(h.replayed(t, len(h.records))), portraitOf(h.state))
				h.checkRecords(t)
				h.checkPublic(t)
				h.checkSessions(t)
				h.checkBounds(t)
			},
		})
	})
}

func (h *history) checkRecords(t *rapid.T) {
	next, incarnations := map[string]memory.Version{}, map[string]uint64{}
	expected, epochs := map[string]uint64{}, map[string]uint64{}
	for _, r := range h.records {
		switch r := r.(type) {
		case *openedRecord:
			expected[r.Session], epochs[r.Session] = 1, 1
		case *resumedRecord:
			epochs[r.Session] = r.Epoch
		case *spaceRecord:
			incarnations[r.Space] = r.Incarnation
		case *deletedRecord:
			next[r.Space], incarnations[r.Space] = 0, 0
		case *unitRecord:
			require.Equal(t, next[r.Space]+1, r.Base, "versions are dense")
			next[r.Space] += memory.Version(r.Count)
			require.Equal(t, incarnations[r.Space], r.Incarnation, "nothing is appended to a deleted space")
			require.Equal(t, epochs[r.Session], r.Epoch, "old epochs append nothing")
			if !r.Unary {
				require.Equal(t, expected[r.Session], r.First, "numbers are contiguous and consumed once")
				expected[r.Session] += r.Count
			}
		}
	}
}

func (h *history) checkBounds(t *rapid.T) {
	inSpaces := 0
	for name, of := range h.state.bySpace {
		for se := range of {
			require.Same(t, h.state.sessions[se.id], se)
			require.Equal(t, name, se.space)
			inSpaces++
		}
	}
	require.Len(t, h.state.sessions, inSpaces)
	total := 0
	for id, se := range h.state.sessions {
		require.LessOrEqual(t, len(se.rejected.ranges), h.state.maxRanges, id)
		total += len(se.rejected.ranges)
	}
	require.Equal(t, total, h.state.rejected)
	require.LessOrEqual(t, total, h.state.maxRejected+len(h.state.sessions))
}

// checkPublic checks that readers see of a space what is durable, no more and no less.
func (h *history) checkPublic(t *rapid.T) {
	durable := h.replayed(t, h.durable)
	for name, sp := range h.state.spaces {
		if then := durable.spaces[name]; then != nil {
			require.Equal(t, then.next-1, sp.public.Committed)
			require.Equal(t, then.Dimension, sp.public.Dimension)
		} else {
			require.Zero(t, sp.public)
		}
	}
}

func TestUnarySessionsAreBoundedByCountAndAge(t *testing.T) {
	s := newState(maxSpaces)
	require.NoError(t, s.apply(1, &spaceRecord{Space: "faces", Incarnation: 1, Metric: memory.Cosine}))
	lsn, version := log.LSN(2), memory.Version(1)
	put := func(id string, remember bool, at int64) {
		u := &unitRecord{Space: "faces", Incarnation: 1, Session: id, First: 1, Count: 1, Base: version, Unary: true, Remember: remember, At: at}
		require.NoError(t, s.apply(lsn, u))
		s.settle(lsn)
		lsn++
		version++
	}
	for i := range maxRemembered + 50 {
		put(fmt.Sprint("r", i), true, 1)
	}
	require.Equal(t, maxRemembered, s.remembered.len())
	require.Nil(t, s.sessions["r49"])
	require.NotNil(t, s.sessions["r50"])
	put("u1", false, 1)
	put("u2", false, int64(oneShotFor)+2)
	require.Nil(t, s.sessions["u1"], "one-shot sessions go after a minute")
	put("r", true, int64(rememberFor)+2)
	require.Equal(t, []string{"r"}, idsOf(&s.remembered), "remembered ones after ten")
	require.Len(t, s.sessions, 1)
}

// A journal that contradicts itself is corrupt, not merged.
func TestContradictionsAreCorrupt(t *testing.T) {
	for name, bad := range map[string]record{
		"unit of an unknown space": &unitRecord{Space: "nowhere", Incarnation: 1, Session: "s1", Epoch: 1, First: 1, Count: 1, Base: 1},
		"unit that skips versions": &unitRecord{Space: "faces", Incarnation: 1, Session: "s1", Epoch: 1, First: 1, Count: 1, Base: 2},
		"unit that skips numbers":  &unitRecord{Space: "faces", Incarnation: 1, Session: "s1", Epoch: 1, First: 2, Count: 1, Base: 1},
		"unit of another epoch":    &unitRecord{Space: "faces", Incarnation: 1, Session: "s1", Epoch: 2, First: 1, Count: 1, Base: 1},
		"unit of no session":       &unitRecord{Space: "faces", Incarnation: 1, Session: "s9", Epoch: 1, First: 1, Count: 1, Base: 1},
		"space made again":         &spaceRecord{Space: "faces", Incarnation: 1, Dimension: 4, Metric: memory.L2},
		"incarnation used again":   &spaceRecord{Space: "birds", Incarnation: 1, Dimension: 4, Metric: memory.L2},
		"session opened again":     &openedRecord{Session: "s1"},
		"epoch skipped":            &resumedRecord{Session: "s1", Epoch: 3},
		"more committed than is":   &resumedRecord{Session: "s1", Epoch: 2, LastCommitted: 1},
		"end of an old epoch":      &endedRecord{Session: "s1"},
		"deletion of no space":     &deletedRecord{Space: "nowhere", Incarnation: 1},
		"deletion of another":      &deletedRecord{Space: "faces", Incarnation: 2},
	} {
		s := newState(maxSpaces)
		require.NoError(t, s.apply(1, &spaceRecord{Space: "faces", Incarnation: 1, Dimension: 3, Metric: memory.Cosine}))
		require.NoError(t, s.apply(2, &openedRecord{Session: "s1", Space: "faces"}))
		before := portraitOf(s)
		err := s.apply(3, bad)
		require.Equal(t, fault.Corrupt, fault.KindOf(err), name)
		require.Equal(t, before, portraitOf(s), name)
	}
}
