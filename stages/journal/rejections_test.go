package journal

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/journal/log"
)

func TestRejectedRangesAreJoinedAndBounded(t *testing.T) {
	unit := func(first uint64, reasons ...string) *unitRecord {
		u := &unitRecord{First: first, Ordinal: log.Ordinal(100 + first)}
		for i, reason := range reasons {
			if reason != "" {
				u.Rejected = append(u.Rejected, rejectedRun{Start: uint64(i), Count: 1, Rejection: memory.Rejection{Reason: reason}})
			}
		}
		return u
	}
	numbers := func(ranges []rejectedRange) (out [][3]uint64) {
		for _, r := range ranges {
			out = append(out, [3]uint64{r.first, r.last(), uint64(r.ordinal)})
		}
		return out
	}
	var l rejections
	l.add(unit(1, "", "bad", "bad", "worse"), 100)
	undo := l.add(unit(5, "worse", "", "bad"), 100)
	require.Equal(t, [][3]uint64{{2, 3, 102}, {4, 5, 104}, {7, 7, 107}}, numbers(l.ranges))
	require.Equal(t, [][3]uint64{{3, 3, 102}, {4, 4, 104}}, numbers(l.within(3, 4)), "the first ordinal tells the reason of all")
	require.Empty(t, l.within(6, 6))
	require.Empty(t, l.within(8, 100))
	undo()
	require.Equal(t, [][3]uint64{{2, 3, 102}, {4, 4, 104}}, numbers(l.ranges))
	for i := range uint64(200) {
		l.add(unit(10+2*i, "bad"), 100)
	}
	require.Len(t, l.ranges, 100)
	require.Equal(t, l.ranges[0].first-2, l.forgotten, "the last one that went")
}

// What was rejected is told on resume, with its reason, or the resume is refused: a number that is committed and not
// named as rejected counts as stored. Only a client that knows of nothing begins anew.
func TestResumeTellsEveryRejection(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.SegmentBytes = 64 << 20
	s := mustOpen(t, o)
	a, g := attached(t, s, "faces")
	const last = 2*maxRejectedRanges + 20 // the even ones are rejected: 10 more than are kept
	for n := uint64(1); n <= last; {
		var ops []session.Op
		for ; len(ops) < maxUnitOps && n <= last; n += 2 {
			ops = append(ops, observation(a, n, 2), rejection(a, n+1, fmt.Sprintf("bad %d", n+1)))
		}
		offered(s, ops...)
	}
	resume := func(seen uint64) (session.Grant, error) {
		q := session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token, LastCommitted: seen, Writer: "w"}
		if seen == 0 {
			q.Writer = rand.Text()
		}
		return s.OpenSession(context.Background(), q)
	}
	for _, restart := range []bool{false, true} {
		if restart {
			require.NoError(t, s.Close())
			s = mustOpen(t, o)
		}
		_, err := resume(19)
		require.Equal(t, "REJECTIONS_FORGOTTEN", fault.As(err).Reason)
		require.ErrorContains(t, err, "up to 20")
		_, err = s.OpenSession(t.Context(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
		require.Equal(t, "REJECTIONS_FORGOTTEN", fault.As(err).Reason, "who gives no name may have it all in flight")
		for _, known := range []uint64{20, 0, last - 2, 20} { // what one resume was told does not shorten the next
			r, err := resume(known)
			require.NoError(t, err)
			require.EqualValues(t, last, r.Committed)
			first := max(known, 20) + 2
			require.Len(t, r.Rejected, int(last-first)/2+1)
			require.Equal(t, session.RejectedRange{
				First: first, Last: first, Rejection: memory.Rejection{Code: r.Rejected[0].Code, Reason: fmt.Sprintf("bad %d", first)},
			}, r.Rejected[0])
		}
	}
	require.NoError(t, s.Close())
}

// A writer whose first acks were lost knows of nothing and has it all in flight: it is told, or refused.
func TestAWriterIsToldWhatBecameOfItsItems(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	s.state.maxRanges = 2
	g, err := s.OpenSession(t.Context(), session.OpenRequest{Space: "faces", Writer: "w"})
	require.NoError(t, err)
	q := session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token, Writer: "w"}
	a := attachment(g, "faces")
	stored(t, s, rejection(a, 1, "a"), rejection(a, 2, "b"))
	g, err = s.OpenSession(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, g.Rejected, 2)
	stored(t, s, rejection(attachment(g, "faces"), 3, "c"))
	_, err = s.OpenSession(t.Context(), q)
	require.Equal(t, "REJECTIONS_FORGOTTEN", fault.As(err).Reason)
	q.Writer = "another"
	g, err = s.OpenSession(t.Context(), q)
	require.NoError(t, err, "it has nothing in flight")
	require.EqualValues(t, 3, g.HeldSince)
	q.Writer = "another"
	_, err = s.OpenSession(t.Context(), q)
	require.Equal(t, "REJECTIONS_FORGOTTEN", fault.As(err).Reason, "by now it may")
}

// A repeated call is told again what was rejected of it, or that this is not known any more.
func TestARepeatedCallIsToldWhatWasRejected(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	s.state.maxRanges = 2
	call := &session.Attachment{SessionID: "r1", Space: "faces", Unary: true, Remember: true}
	again := func() ([]session.RejectedRange, error) {
		v := offered(s, rejection(call, 1, "a"), rejection(call, 2, "b"))
		require.Equal(t, session.Duplicate, v.refusal.Verdict)
		return v.refusal.Rejected()
	}
	stored(t, s, rejection(call, 1, "a"), rejection(call, 2, "b"))
	told, err := again()
	require.NoError(t, err)
	require.Len(t, told, 2)
	stored(t, s, rejection(call, 3, "c"))
	_, err = again()
	require.Equal(t, "REJECTIONS_FORGOTTEN", fault.As(err).Reason)
}

// However many sessions and calls there are: what they do not count they do not hold.
func TestRejectionsOverAllAreBounded(t *testing.T) {
	s := newState(maxSpaces)
	s.maxRejected = 1000
	require.NoError(t, s.apply(1, &spaceRecord{Space: "faces", Incarnation: 1, Dimension: 2, Metric: memory.Cosine}))
	lsn, base := log.LSN(2), memory.Version(1)
	before := heapBytes()
	const calls = 1000
	for i := range calls {
		u := &unitRecord{Space: "faces", Incarnation: 1, Session: fmt.Sprint("r", i), First: 1, Count: 1024, Base: base, Unary: true, Remember: true}
		for j := range uint64(1024) {
			u.Rejected = append(u.Rejected, rejectedRun{Start: j, Count: 1, Rejection: memory.Rejection{Code: uint32(j)}})
		}
		require.NoError(t, s.apply(lsn, u))
		s.settle(lsn)
		lsn++
		base += 1024
	}
	require.LessOrEqual(t, s.rejected, 1000+1024+16*calls)
	require.Less(t, (heapBytes()-before)/calls, int64(4<<10), "bytes a call")
	require.NotZero(t, s.sessions)
}

// However long the reasons are, an answer stays small enough to be read: beyond that only the codes are told.
func TestReasonsAreBounded(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	a, g := attached(t, s, "faces")
	const n = 4000
	for i := uint64(1); i <= n; i += 500 {
		ops := make([]session.Op, 500)
		for j := range ops {
			ops[j] = rejection(a, i+uint64(j), fmt.Sprintf("%d %s", j, strings.Repeat("x", 200)))
		}
		stored(t, s, ops...)
	}
	r, err := s.OpenSession(t.Context(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
	require.NoError(t, err)
	bytes, numbers := 0, uint64(0)
	for _, rejected := range r.Rejected {
		bytes += len(rejected.Reason) + len(rejected.Field)
		numbers += rejected.Last - rejected.First + 1
		require.NotZero(t, rejected.Code)
	}
	require.EqualValues(t, n, numbers, "every number is told")
	require.LessOrEqual(t, bytes, maxToldReasons)
	require.Greater(t, bytes, maxToldReasons/2)
}

// What is in flight while the disk stalls holds no copies of what was rejected before.
func TestRejectionsInFlightAreSmall(t *testing.T) {
	s := newState(maxSpaces)
	require.NoError(t, s.apply(1, &spaceRecord{Space: "faces", Incarnation: 1, Dimension: 2, Metric: memory.Cosine}))
	require.NoError(t, s.apply(2, &openedRecord{Session: "s1", Space: "faces"}))
	next := uint64(1)
	bad := []rejectedRun{{Start: 1, Count: 1, Rejection: memory.Rejection{Reason: "bad"}}}
	put := func(lsn log.LSN) {
		require.NoError(t, s.apply(lsn, &unitRecord{
			Space: "faces", Incarnation: 1, Session: "s1", Epoch: 1, First: next, Count: 2, Base: memory.Version(next), Rejected: bad,
		}))
		next += 2
	}
	lsn := log.LSN(3)
	for ; lsn < maxRejectedRanges+100; lsn++ {
		put(lsn)
		s.settle(lsn)
	}
	before := heapBytes()
	const units = 4000
	for range units {
		put(lsn)
		lsn++
	}
	held := (heapBytes() - before) / units
	require.Len(t, s.steps, units)
	require.Less(t, held, int64(4<<10), "bytes a unit in flight")
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
