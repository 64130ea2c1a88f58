package app

import (
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func faces() *engramv1.Hello { return &engramv1.Hello{Space: "faces"} }

func TestTenObservationsTenAcksAndRecallsBetween(t *testing.T) {
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}, "json": {connect.WithProtoJSON()},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			f, welcome := join(t, s, faces(), options...)
			assert.False(t, welcome.GetResumed())
			assert.Equal(t, uint64(1), welcome.GetEpoch())
			assert.NotEmpty(t, welcome.GetResumeToken())
			assert.Positive(t, welcome.GetCredit().GetSequenceLimit())
			for n := uint64(1); n <= 10; n++ {
				f.observe(n, seen(fmt.Sprint(n), float32(n), 1, 0))
				ack := until(f, (*engramv1.MemoryFlowResponse).GetAck)
				assert.Equal(t, n, ack.GetCommittedThrough())
				assert.Equal(t, n, ack.GetAcceptedThrough())
				hits, snapshot, done := f.recall(n, &engramv1.RecallQuery{Embedding: []float32{1, 0, 0}, Limit: 100, IncludeContent: true})
				assert.Zero(t, done.GetCode(), done.GetReason())
				assert.GreaterOrEqual(t, snapshot, ack.GetCommitVersion())
				require.Len(t, hits, int(n), "a recall sees all that was acked before it")
				assert.Equal(t, fmt.Sprint(n), hits[0].GetContent(), "the nearest is the last")
			}
			f.goodbye(true)
			closed := until(f, (*engramv1.MemoryFlowResponse).GetClosed)
			assert.Equal(t, uint64(10), closed.GetFinalSequence())
			assert.Equal(t, uint64(10), closed.GetCommittedThrough())
			assert.True(t, closed.GetSessionEnded())
			f.ended()
			got := stats(t, s)
			assert.Equal(t, []uint64{10, 10, 0, 10}, []uint64{got.GetOffered(), got.GetAccepted(), got.GetInFlight(), got.GetCommitted()})
		})
	}
}

func TestResumeAfterTheStreamIsLost(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, welcome := join(t, s, faces())
	f.observe(1, seen("a", 1, 0), seen("b", 0, 1), seen("c", 1, 1))
	f.ack(3)
	f.cancel() // the connection is gone, and the client does not know what was acked

	hello := &engramv1.Hello{Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken()}
	f, again := join(t, s, hello)
	assert.True(t, again.GetResumed())
	assert.Equal(t, uint64(2), again.GetEpoch())
	assert.Equal(t, uint64(3), again.GetCommittedThrough())
	f.observe(2, seen("b", 0, 1), seen("c", 1, 1), seen("d", 1, 0))
	f.ack(4)
	hits, _, _ := f.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 1}, Limit: 10})
	assert.Len(t, hits, 4, "what was sent again is there once")
	got := stats(t, s)
	assert.Equal(t, []uint64{6, 4, 2, 0}, []uint64{got.GetOffered(), got.GetAccepted(), got.GetDuplicate(), got.GetInFlight()})
}

func TestResumeAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	f, welcome := join(t, s, faces())
	f.observe(1, seen("a", 1, 0), &engramv1.Observation{Content: "bad", Embedding: []float32{1}}, seen("c", 1, 1))
	f.ack(3)
	stop(t, s)

	s = startServer(t, dir)
	f, again := join(t, s, &engramv1.Hello{
		Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken(), LastCommittedSequence: 1,
	})
	assert.Equal(t, uint64(3), again.GetCommittedThrough())
	require.Len(t, again.GetRejected(), 1, "what was rejected is told again")
	assert.Equal(t, uint64(2), again.GetRejected()[0].GetRange().GetFirst())
	assert.NotEqual(t, welcome.GetServerInstance(), again.GetServerInstance())
	hits, _, _ := f.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 0}, IncludeContent: true, IncludeEmbedding: true})
	require.Len(t, hits, 2)
	assert.Equal(t, "a", hits[0].GetContent())
	assert.Equal(t, packed(1, 0), hits[0].GetEmbeddingF32(), "as it was sent, byte for byte")
	assert.InDelta(t, 1, hits[0].GetScore(), 1e-6)
}

// A writer learns whether another held the session meanwhile, over restarts too, and whatever Hellos were lost.
func TestAWriterLearnsOfOthersInItsSession(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	_, welcome := join(t, s, &engramv1.Hello{Space: "faces", WriterId: "first"})
	assert.Equal(t, uint64(1), welcome.GetHeldSince())
	for epoch, step := range []struct {
		writer  string
		since   uint64
		restart bool
	}{
		{writer: "first", since: 1},
		{writer: "first", since: 1, restart: true},
		{writer: "second", since: 4},
		{writer: "second", since: 4, restart: true},
		{writer: "first", since: 6},
		{writer: "", since: 7},
		{writer: "", since: 8}, // nobody's name is no proof of being the same
		{writer: "first", since: 9},
	} {
		if step.restart {
			stop(t, s)
			s = startServer(t, dir)
		}
		_, again := join(t, s, &engramv1.Hello{
			Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken(), WriterId: step.writer,
		})
		assert.Equal(t, uint64(epoch+2), again.GetEpoch())
		assert.Equal(t, step.since, again.GetHeldSince(), "epoch %d", epoch+2)
	}
}

func TestTheOlderOfTwoClientsIsFenced(t *testing.T) {
	s := startServer(t, t.TempDir())
	older, welcome := join(t, s, faces())
	older.observe(1, seen("a", 1, 0))
	older.ack(1)
	newer, _ := join(t, s, &engramv1.Hello{Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken()})
	away := until(older, (*engramv1.MemoryFlowResponse).GetGoAway)
	assert.Equal(t, engramv1.GoAway_REASON_FENCED, away.GetReason())
	assert.Equal(t, uint64(1), away.GetCommittedThrough())

	older.observe(2, seen("late", 1, 0), seen("later", 1, 0))
	newer.observe(2, seen("b", 0, 1))
	newer.ack(2)
	require.NoError(t, older.stream.CloseRequest())
	fenced := older.failure()
	assert.Equal(t, connect.CodeAborted, fenced.Code())
	got := stats(t, s)
	assert.Equal(t, []uint64{4, 2, 2, 0}, []uint64{got.GetOffered(), got.GetAccepted(), got.GetSuperseded(), got.GetInFlight()})
	hits, _, _ := newer.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 1}})
	assert.Len(t, hits, 2, "nothing of what the fenced client sent late")
}

func TestAGapIsNackedAndDiscardsWhatFollows(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, _ := join(t, s, faces())
	f.observe(1, seen("a", 1, 0))
	f.ack(1)
	f.observe(3, seen("c", 1, 0))
	f.observe(4, seen("d", 1, 0))
	nack := until(f, (*engramv1.MemoryFlowResponse).GetNack)
	assert.Equal(t, engramv1.Nack_REASON_SEQUENCE_GAP, nack.GetReason())
	assert.Equal(t, uint64(2), nack.GetExpectedSequence())
	f.observe(2, seen("b", 0, 1), seen("c", 1, 0), seen("d", 1, 0))
	f.ack(4)
	got := stats(t, s)
	assert.Equal(t, []uint64{6, 4, 2}, []uint64{got.GetOffered(), got.GetAccepted(), got.GetNacked()})
}

func TestForgetOnTheStreamKeepsItsPlace(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, _ := join(t, s, faces())
	f.observe(1, &engramv1.Observation{MemoryId: "mine", Embedding: []float32{1, 0}}, seen("other", 1, 0))
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Forget{Forget: &engramv1.ForgetOp{
		Sequence: 3, Target: &engramv1.ForgetTarget{MemoryIds: []string{"mine"}},
	}}})
	f.ack(3)
	hits, _, _ := f.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 0}})
	require.Len(t, hits, 1)
	assert.NotEqual(t, "mine", hits[0].GetMemoryId())
}

func TestGoodbyeWithoutEndKeepsTheSession(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, welcome := join(t, s, faces())
	f.observe(1, seen("a", 1, 0))
	f.goodbye(false)
	closed := until(f, (*engramv1.MemoryFlowResponse).GetClosed)
	assert.Equal(t, uint64(1), closed.GetCommittedThrough())
	assert.False(t, closed.GetSessionEnded())
	f.ended()
	_, again := join(t, s, &engramv1.Hello{Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken()})
	assert.Equal(t, uint64(1), again.GetCommittedThrough())
}

func TestGracefulStopTellsAcksAndEnds(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, _ := join(t, s, faces())
	for n := uint64(1); n <= 200; n++ {
		f.observe(n, seen("x", 1, 0))
	}
	f.ack(1)
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop(t, s) }()
	var committed uint64
	var told bool
	began := time.Now()
	for {
		m, err := f.stream.Receive()
		if err != nil {
			assert.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
			break
		}
		committed = max(committed, m.GetAck().GetCommittedThrough())
		told = told || m.GetGoAway().GetReason() == engramv1.GoAway_REASON_SHUTDOWN
	}
	<-stopped
	assert.True(t, told)
	assert.GreaterOrEqual(t, committed, uint64(1))
	assert.Less(t, time.Since(began), stopTimeout)
	tally := s.hub.Tally()
	assert.Equal(t, committed, tally.Accepted, "everything accepted was acked before the end")
	assert.Zero(t, tally.InFlight)
}

func TestManyStreamsManyItemsOneVerdictEach(t *testing.T) {
	const streams, batches, size = 4, 20, 50
	s := startServer(t, t.TempDir())
	done := make(chan uint64, streams)
	for i := range streams {
		f, _ := join(t, s, &engramv1.Hello{Space: fmt.Sprintf("space-%d", i%2)})
		go func() {
			next := uint64(1)
			for range batches {
				var batch []*engramv1.Observation
				for range size {
					batch = append(batch, seen("x", float32(next), 1))
				}
				f.observe(next, batch...)
				next += size
			}
			f.ack(batches * size)
			f.goodbye(false)
			done <- until(f, (*engramv1.MemoryFlowResponse).GetClosed).GetFinalSequence()
		}()
	}
	for range streams {
		assert.Equal(t, uint64(batches*size), <-done)
	}
	got := stats(t, s)
	assert.Equal(t, uint64(streams*batches*size), got.GetAccepted())
	assert.Equal(t, got.GetAccepted(), got.GetOffered())
	assert.Zero(t, got.GetInFlight())
	assert.Zero(t, got.GetQueueDepth())
}

// TestOverloadNacksAndNothingIsLost keeps more in flight than the budget holds, with no regard for credit, and goes
// back when told to.
func TestOverloadNacksAndNothingIsLost(t *testing.T) {
	const total, size, ahead = 12 * 1024, 1024, 5 * 1024
	s := startServer(t, t.TempDir(), flag("budget.items", "4100"))
	f, _ := join(t, s, faces())
	batch := make([]*engramv1.Observation, size)
	for i := range batch {
		batch[i] = seen("x", 1, 0)
	}
	var committed, sent uint64
	for next := uint64(1); committed < total; {
		for ; next <= min(total, committed+ahead); next += size {
			f.observe(next, batch...)
			sent += size
		}
		m := f.next()
		committed = max(committed, m.GetAck().GetCommittedThrough())
		if n := m.GetNack(); n != nil {
			next = n.GetExpectedSequence()
			<-time.After(n.GetRetryAfter().AsDuration())
		}
	}
	got := stats(t, s)
	assert.Equal(t, sent, got.GetOffered(), "every item sent has its verdict")
	assert.Equal(t, uint64(total), got.GetAccepted())
	assert.Equal(t, got.GetOffered(), got.GetAccepted()+got.GetNacked()+got.GetDuplicate())
	assert.Zero(t, got.GetInFlight())
	assert.Zero(t, got.GetQueueDepth())
}
