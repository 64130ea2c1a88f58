package journal

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

func TestOpsAreStoredOnceInOrderAndReadBack(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	a, _ := attached(t, s, "faces")
	b, _ := attached(t, s, "birds")
	v := stored(t, s, observations(a, 1, 3, 4)...)
	require.EqualValues(t, 1, v.version)
	require.EqualValues(t, 1, v.ordinal)
	v = stored(t, s, observations(b, 1, 2, 2)...)
	require.EqualValues(t, 1, v.version, "versions are a space's own")
	require.EqualValues(t, 4, v.ordinal, "ordinals are the log's")
	v = stored(t, s, forget(a, 4, "x", "y"), rejection(a, 5, "bad"), observation(a, 6, 4))
	require.EqualValues(t, 4, v.version)
	committed, live, detached := s.JournalStats()
	require.EqualValues(t, 8, committed)
	require.Equal(t, 2, live)
	require.Zero(t, detached)
	for range 2 {
		all := replayed(t, s)
		require.Len(t, all, 8)
		require.Equal(t, []string{"x", "y"}, all[5].Op.Forget.IDs)
		require.Equal(t, "bad", all[6].Op.Rejection.Reason)
		require.EqualValues(t, 6, all[7].Op.Sequence)
		require.Equal(t, observation(a, 6, 4).Op, all[7].Op)
		_, err := s.ReadOp(9)
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		sp, ok := s.Space("faces")
		require.True(t, ok)
		require.Equal(t, 4, sp.Dimension)
		require.Equal(t, memory.Cosine, sp.Metric)
		require.EqualValues(t, 6, sp.Committed)
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}
	require.NoError(t, s.Close())
}

// The compare-and-append table of the protocol, row by row.
func TestCompareAndAppend(t *testing.T) {
	s := opened(t, testOptions(vfs.NewMem()))
	a, g := attached(t, s, "faces")

	v := offered(s, observation(a, 2, 3))
	require.Equal(t, session.Refusal{Verdict: session.Nacked, Nack: session.NackSequenceGap, Expected: 1}, *v.refusal)

	first := offered(s, observation(a, 1, 3), rejection(a, 2, "bad"), rejection(a, 3, "bad"), observation(a, 4, 3))
	require.Nil(t, first.refusal)

	v = offered(s, observations(a, 2, 3, 3)...)
	require.Equal(t, session.Duplicate, v.refusal.Verdict)
	require.Equal(t, first.durable, v.refusal.Durable, "its ack waits for the original's sync")
	require.EqualValues(t, 4, v.refusal.Version)
	require.Nil(t, v.refusal.Rejected, "a stream has been told in an ack")

	v = offered(s, observations(a, 3, 4, 3)...)
	require.Nil(t, v.refusal)
	require.Equal(t, 2, v.skip)
	require.EqualValues(t, 5, v.version)
	require.Equal(t, session.Duplicate, v.duplicate.Verdict)

	resumed, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token, LastCommitted: 2})
	require.NoError(t, err)
	require.True(t, resumed.Resumed)
	require.EqualValues(t, 2, resumed.Epoch)
	require.EqualValues(t, 6, resumed.Committed)
	require.EqualValues(t, 6, resumed.Version)
	require.Nil(t, resumed.Token)
	require.Equal(t, []session.RejectedRange{{First: 3, Last: 3, Rejection: memory.Rejection{Code: 3, Reason: "bad"}}}, resumed.Rejected)

	v = offered(s, observation(a, 7, 3))
	require.Equal(t, session.Superseded, v.refusal.Verdict)
	stored(t, s, observation(attachment(resumed, "faces"), 7, 3))

	require.NoError(t, s.EndSession(context.Background(), g.SessionID, 2))
	v = offered(s, observation(attachment(resumed, "faces"), 8, 3))
	require.Equal(t, session.Superseded, v.refusal.Verdict)
	require.ErrorContains(t, v.refusal, "unknown or has expired")
	require.Len(t, replayed(t, s), 7)
}

// The first vector gives the space its dimension; of writers that race, the others' ops become rejections, which consume
// their numbers.
func TestFirstVectorFixesTheDimension(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	a := &session.Attachment{SessionID: "r1", Space: "faces", Unary: true, Remember: true}
	b, _ := attached(t, s, "faces")
	stored(t, s, forget(a, 1, "nothing yet"))
	sp, ok := s.Space("faces")
	require.True(t, ok)
	require.Zero(t, sp.Dimension)

	ops := []session.Op{forget(b, 1, "x"), observation(b, 2, 3), observation(b, 3, 5), observation(b, 4, 3), observation(b, 5, 2)}
	v := stored(t, s, ops...)
	require.Equal(t, []int{2, 4}, v.turned)
	require.EqualValues(t, 2, v.version)
	require.Equal(t, memory.OpRejected, ops[2].Kind, "changed in place, for those downstream")
	require.Nil(t, ops[2].Observe)

	v = stored(t, s, observation(a, 2, 4), observation(a, 3, 3))
	require.Equal(t, []int{0}, v.turned)
	v = offered(s, observation(a, 2, 4))
	why, err := v.refusal.Rejected()
	require.NoError(t, err)
	require.Len(t, why, 1)
	require.Equal(t, "embedding", why[0].Field)
	require.Equal(t, `space "faces" has dimension 3, got 4`, why[0].Reason)

	for range 2 {
		sp, _ := s.Space("faces")
		require.Equal(t, 3, sp.Dimension)
		require.EqualValues(t, 8, sp.Committed)
		all := replayed(t, s)
		require.Equal(t, memory.OpRejected, all[3].Op.Kind)
		require.Equal(t, `space "faces" has dimension 3, got 5`, all[3].Op.Rejection.Reason)
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}
	require.NoError(t, s.Close())
}

func TestSpacesAreMadeOnce(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	ctx := context.Background()
	made, err := s.CreateSpace(ctx, memory.Space{Name: "faces", Dimension: 3, Metric: memory.Dot})
	require.NoError(t, err)
	require.NotZero(t, made.Incarnation)
	require.NotZero(t, made.CreatedAt)
	again, err := s.CreateSpace(ctx, memory.Space{Name: "faces", Dimension: 3, Metric: memory.Dot})
	require.NoError(t, err)
	require.Equal(t, made, again)
	for _, other := range []memory.Space{{Name: "faces", Dimension: 4, Metric: memory.Dot}, {Name: "faces", Dimension: 3, Metric: memory.L2}} {
		_, err = s.CreateSpace(ctx, other)
		require.Equal(t, fault.AlreadyExists, fault.KindOf(err))
		require.ErrorContains(t, err, "dimension 3, metric dot")
	}
	for _, bad := range []memory.Space{{Dimension: 3}, {Name: "x"}, {Name: "x", Dimension: memory.MaxDimension + 1}, {Name: "x", Dimension: 1, Metric: 9}} {
		_, err = s.CreateSpace(ctx, bad)
		require.Equal(t, fault.InvalidArgument, fault.KindOf(err))
	}
	for _, name := range []string{"c", "a", "b"} {
		_, err = s.CreateSpace(ctx, memory.Space{Name: name, Dimension: 1})
		require.NoError(t, err)
	}
	for range 2 {
		require.Equal(t, []string{"a", "b", "c", "faces"}, names(s.ListSpaces("", 10)))
		require.Equal(t, []string{"b", "c"}, names(s.ListSpaces("a", 2)))
		require.Equal(t, []string{"faces"}, names(s.ListSpaces("cc", 10)))
		found, ok := s.Space("faces")
		require.True(t, ok)
		require.Equal(t, made, found)
		_, ok = s.Space("nowhere")
		require.False(t, ok)
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}
	require.NoError(t, s.Close())
}

func names(spaces []memory.Space) (out []string) {
	for _, sp := range spaces {
		out = append(out, sp.Name)
	}
	return out
}

// A unary call is a session of one call; named by a request id, it is remembered over a restart.
func TestUnaryCallsAreSessionsOfTheirOwn(t *testing.T) {
	o := testOptions(vfs.NewMem())
	s := mustOpen(t, o)
	call := func(id string, remember bool) *session.Attachment {
		return &session.Attachment{SessionID: id, Space: "faces", Unary: true, Remember: remember}
	}
	v := offered(s, observation(call("u1", false), 2, 3))
	require.Equal(t, session.NackSequenceGap, v.refusal.Nack)
	stored(t, s, observations(call("u1", false), 1, 2, 3)...)
	stored(t, s, observation(call("u1", false), 3, 3))
	stored(t, s, observations(call("r1", true), 1, 2, 3)...)
	require.NoError(t, s.Close())
	s = opened(t, o)
	v = offered(s, observations(call("r1", true), 1, 2, 3)...)
	require.Equal(t, session.Duplicate, v.refusal.Verdict)
	require.EqualValues(t, 5, v.refusal.Version)
	_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: "r1"})
	require.Equal(t, fault.NotFound, fault.KindOf(err), "a unary session can not be resumed")
	_, live, detached := s.JournalStats()
	require.Zero(t, live+detached)
}

func TestLongRunsAreSplitIntoUnits(t *testing.T) {
	a := &session.Attachment{SessionID: "s1", Space: "faces"}
	b := &session.Attachment{SessionID: "s2", Space: "faces"}
	ops := observations(a, 1, maxUnitOps+10, 2)
	require.Len(t, newUnit(ops).ops, maxUnitOps)
	require.Len(t, newUnit(append(ops[:3:3], observation(b, 1, 2))).ops, 3, "another attachment")
	require.Len(t, newUnit(append(ops[:3:3], observation(a, 5, 2))).ops, 3, "a missing number")
	large := observations(a, 1, 20, 2)
	for i := range large {
		large[i].Observe.Content = string(make([]byte, memory.MaxContent))
	}
	require.Len(t, newUnit(large).ops, maxUnitBytes/memory.MaxContent)
}

// The limit on spaces holds for each way to make one; those that exist are served at a lower limit too.
func TestSpacesAreLimited(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.MaxSpaces = 2
	s := mustOpen(t, o)
	for _, name := range []string{"a", "b"} {
		_, err := s.CreateSpace(t.Context(), memory.Space{Name: name, Dimension: 2})
		require.NoError(t, err)
	}
	_, err := s.CreateSpace(t.Context(), memory.Space{Name: "c", Dimension: 2})
	require.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
	require.ErrorContains(t, err, "limits.spaces")
	_, err = s.OpenSession(t.Context(), session.OpenRequest{Space: "c"})
	require.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
	require.NoError(t, s.Close())

	o.MaxSpaces = 1
	s = mustOpen(t, o)
	require.Len(t, s.ListSpaces("", 10), 2)
	_, err = s.OpenSession(t.Context(), session.OpenRequest{Space: "b"})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
