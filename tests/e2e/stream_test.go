package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const streamTimeout = 2 * time.Minute

// TestTenObservationsTenAcks: one by one, each ack at its number; a recall after each sees all that was acked; a quiet
// minute changes nothing; the goodbye tells the final number.
func TestTenObservationsTenAcks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), streamTimeout)
	defer cancel()
	s := start(t, t.TempDir())
	f := s.openFlow(ctx, &engramv1.Hello{Space: "ten"})
	for n := uint64(1); n <= 10; n++ {
		f.observe(n, wire(fmt.Sprintf("id-%d", n), vector(int(n), 16)...))
		ack := f.receive().GetAck()
		require.NotNil(t, ack)
		require.Equal(t, n, ack.GetCommittedThrough())
		require.Equal(t, n, ack.GetCommitVersion())

		f.recall(n, &engramv1.RecallQuery{EmbeddingF32: littleEndian(vector(int(n), 16)), Limit: 100})
		hits := f.awaitRecall(n)
		require.Len(t, hits, int(n), "everything acked")
		require.Equal(t, fmt.Sprintf("id-%d", n), hits[0].GetMemoryId())
	}
	pause(ctx, time.Minute)
	f.observe(11, wire("id-11", vector(11, 16)...))
	f.awaitAck(11)
	f.goodbye(true)
	closed := f.receive().GetClosed()
	require.NotNil(t, closed)
	require.EqualValues(t, 11, closed.GetFinalSequence())
	require.EqualValues(t, 11, closed.GetCommittedThrough())
	require.True(t, closed.GetSessionEnded())
}

// TestTenAtOnce: sent without waiting, each message still gets its own ack.
func TestTenAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	f := s.openFlow(t.Context(), &engramv1.Hello{Space: "ten"})
	for n := uint64(1); n <= 10; n++ {
		f.observe(n, wire("", vector(int(n), 16)...))
	}
	for n := uint64(1); n <= 10; n++ {
		require.Equal(t, n, f.receive().GetAck().GetCommittedThrough())
	}
}

// TestResumeAfterALostStream: the token opens the session again, in a new epoch, at the first number not committed.
func TestResumeAfterALostStream(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	ctx, cut := context.WithCancel(t.Context())
	f := s.openFlow(ctx, &engramv1.Hello{Space: "resume"})
	f.observe(1, wire("a", 1, 0), wire("b", 0, 1))
	f.awaitAck(2)
	cut()

	w := f.welcome
	hello := &engramv1.Hello{Space: "resume", SessionId: w.GetSessionId(), ResumeToken: w.GetResumeToken(), LastCommittedSequence: 1}
	again := s.openFlow(t.Context(), hello)
	require.True(t, again.welcome.GetResumed())
	require.EqualValues(t, 2, again.welcome.GetCommittedThrough())
	require.Equal(t, w.GetEpoch()+1, again.welcome.GetEpoch())

	// Resent as a whole, as by a client that did not look: what is known is trimmed, the rest applied.
	again.observe(1, wire("a", 1, 0), wire("b", 0, 1), wire("c", 1, 1))
	require.EqualValues(t, 3, again.awaitAck(3).GetCommitVersion(), "a duplicate took a version")
	tally := s.stats()
	require.EqualValues(t, 3, tally.GetAccepted())
	require.EqualValues(t, 2, tally.GetDuplicate())
}

// TestTheOlderOfTwoClientsIsFenced: what it still sends is superseded and not stored.
func TestTheOlderOfTwoClientsIsFenced(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	older := s.openFlow(t.Context(), &engramv1.Hello{Space: "fence"})
	older.observe(1, wire("a", 1, 0))
	older.awaitAck(1)
	w := older.welcome
	newer := s.openFlow(t.Context(), &engramv1.Hello{Space: "fence", SessionId: w.GetSessionId(), ResumeToken: w.GetResumeToken()})
	goAway := older.receive().GetGoAway()
	require.Equal(t, engramv1.GoAway_REASON_FENCED, goAway.GetReason())
	older.observe(2, wire("old", 1, 0), wire("older", 1, 0))
	newer.observe(2, wire("new", 0, 1))
	newer.awaitAck(2)
	_, _ = older.failure()

	newer.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 0}})
	var ids []string
	for _, h := range newer.awaitRecall(1) {
		ids = append(ids, h.GetMemoryId())
	}
	require.ElementsMatch(t, []string{"a", "new"}, ids)
	tally := s.stats()
	require.EqualValues(t, 2, tally.GetSuperseded())
	require.EqualValues(t, 2, tally.GetAccepted())
	require.EqualValues(t, 4, tally.GetOffered())
	require.Zero(t, tally.GetInFlight())
}

// TestAGapIsNackedOnceAndDiscards: nothing above the gap is taken until the missing number comes.
func TestAGapIsNackedOnceAndDiscards(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	f := s.openFlow(t.Context(), &engramv1.Hello{Space: "gap"})
	f.observe(1, wire("a", 1, 0))
	f.awaitAck(1)
	f.observe(3, wire("c", 1, 0))
	f.observe(4, wire("d", 1, 0))
	nack := f.receive().GetNack()
	require.Equal(t, engramv1.Nack_REASON_SEQUENCE_GAP, nack.GetReason())
	require.EqualValues(t, 2, nack.GetExpectedSequence())
	f.observe(2, wire("b", 1, 0), wire("c", 1, 0), wire("d", 1, 0))
	require.EqualValues(t, 4, f.receive().GetAck().GetCommittedThrough(), "a second nack, or none of the resent ones")
	tally := s.stats()
	require.EqualValues(t, 2, tally.GetNacked())
	require.EqualValues(t, 4, tally.GetAccepted())
}

// TestPoisonIsRejectedAndTheStreamGoesOn: each bad item has its reason in the ack; the good ones around are stored.
func TestPoisonIsRejectedAndTheStreamGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	f := s.openFlow(t.Context(), &engramv1.Hello{Space: "poison"})
	both := wire("both", 1, 0)
	both.Embedding = []float32{1, 0}
	f.observe(1, wire("good", 1, 0), wire("wide", 1, 0, 0), wire("nan", float32NaN, 0), wire("zero", 0, 0), wire("none"), both, wire("end", 0, 1))
	ack := f.awaitAck(7)
	reasons := map[uint64]string{}
	for _, r := range ack.GetRejected() {
		for n := r.GetRange().GetFirst(); n <= r.GetRange().GetLast(); n++ {
			reasons[n] = r.GetField() + ": " + r.GetReason()
			require.EqualValues(t, connect.CodeInvalidArgument, r.GetCode())
		}
	}
	require.Len(t, reasons, 5, "%v", reasons)
	require.Contains(t, reasons[2], "dimension 2")
	require.Contains(t, reasons[2], "3")
	t.Log(reasons)

	// The refusals are stored: after a crash the numbers stay consumed.
	s.kill()
	s = start(t, dir)
	w := f.welcome
	again := s.openFlow(t.Context(), &engramv1.Hello{Space: "poison", SessionId: w.GetSessionId(), ResumeToken: w.GetResumeToken()})
	require.EqualValues(t, 7, again.welcome.GetCommittedThrough())
	var rejected uint64
	for _, r := range again.welcome.GetRejected() {
		rejected += r.GetRange().GetLast() - r.GetRange().GetFirst() + 1
	}
	require.EqualValues(t, 5, rejected)
	again.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 0}})
	require.Len(t, again.awaitRecall(1), 2)
}
