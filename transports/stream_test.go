package transports

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// open dials, says Hello and takes the Welcome.
func (h *harness) open(t *testing.T) (*wire, *engramv1.Welcome) {
	t.Helper()
	w := h.dial(t.Context())
	w.in <- helloFrame("faces")
	welcome := (<-w.out).GetWelcome()
	require.NotNil(t, welcome)
	return w, welcome
}

// frames returns what has been written by the time that everything waits.
func (w *wire) frames() []*engramv1.MemoryFlowResponse {
	synctest.Wait()
	var out []*engramv1.MemoryFlowResponse
	for {
		select {
		case m := <-w.out:
			out = append(out, m)
		default:
			return out
		}
	}
}

func TestTenObservationsGetTenAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, welcome := h.open(t)
		assert.Equal(t, uint64(session.FirstCreditItems), welcome.GetCredit().GetSequenceLimit())
		assert.Equal(t, uint32(3), welcome.GetLimits().GetDimension())
		for n := uint64(1); n <= 10; n++ {
			w.in <- observeFrame(n, "x")
			got := w.frames()
			require.Len(t, got, 1)
			assert.Equal(t, n, got[0].GetAck().GetCommittedThrough())
		}
		w.in <- goodbyeFrame(false)
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, uint64(10), got[0].GetClosed().GetFinalSequence())
		assert.Equal(t, uint64(10), got[0].GetClosed().GetCommittedThrough())
		require.NoError(t, <-w.result)
		assert.Equal(t, []string{"s1/1"}, h.journal.detachedSessions())
		assert.Equal(t, session.Tally{Offered: 10, Accepted: 10}, h.hub.Tally())
		assert.Equal(t, session.Tally{Offered: 10, Accepted: 10}, h.hub.SpaceTally("faces"))
	})
}

func TestGoodbyeWaitsForWhatWasOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		w, _ := h.open(t)
		w.in <- observeFrame(1, "a", "b")
		w.in <- goodbyeFrame(true)
		assert.Empty(t, w.frames(), "Closed came before the verdicts")
		h.pipeline.release()
		got := w.frames()
		require.Len(t, got, 2)
		assert.Equal(t, uint64(2), got[0].GetAck().GetCommittedThrough(), "the ack goes before Closed")
		assert.True(t, got[1].GetClosed().GetSessionEnded())
		assert.Equal(t, []string{"s1"}, h.journal.ended)
		require.NoError(t, <-w.result)
	})
}

func TestGoodbyeDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		w, _ := h.open(t)
		w.in <- observeFrame(1, "a")
		w.in <- goodbyeFrame(false)
		time.Sleep(drainTimeout + time.Second)
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, uint64(1), got[0].GetClosed().GetFinalSequence())
		assert.Zero(t, got[0].GetClosed().GetCommittedThrough(), "nothing was committed, so Closed must not say so")
		h.pipeline.release()
		assert.Zero(t, h.hub.Tally().InFlight)
	})
}

func TestHalfCloseDetachesAfterTheLastAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		w, _ := h.open(t)
		w.in <- observeFrame(1, "a")
		close(w.in)
		assert.Empty(t, w.frames())
		h.pipeline.release()
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, uint64(1), got[0].GetAck().GetCommittedThrough())
		require.NoError(t, <-w.result)
		assert.Equal(t, []string{"s1/1"}, h.journal.detachedSessions())
	})
}

func TestNoHelloInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness().dial(t.Context())
		began := time.Now()
		err := <-w.result
		assert.Equal(t, fault.DeadlineExceeded, fault.KindOf(err))
		assert.Equal(t, helloTimeout, time.Since(began))
	})
}

func TestADeadlineOfTheClientsIsKept(t *testing.T) {
	for name, frames := range map[string][]*engramv1.MemoryFlowRequest{"before Hello": nil, "after it": {helloFrame("faces")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				w := newHarness().dial(ctx)
				began := time.Now()
				for _, frame := range frames {
					w.in <- frame
				}
				require.ErrorIs(t, <-w.result, context.DeadlineExceeded)
				assert.Equal(t, time.Second, time.Since(began))
			})
		})
	}
}

func TestFramesThatEndTheStream(t *testing.T) {
	empty := &engramv1.MemoryFlowRequest{}
	big := make([]string, memory.MaxBatch+1)
	flow := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Flow{Flow: &engramv1.FlowControl{Action: 1}}}
	graphed := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{WaitGraphed: true}}}
	forget := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Forget{Forget: &engramv1.ForgetOp{}}}
	cancel := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Cancel{Cancel: &engramv1.CancelRecall{}}}
	for name, c := range map[string]struct {
		frame *engramv1.MemoryFlowRequest
		kind  fault.Kind
		field string
	}{
		"second hello":     {helloFrame("faces"), fault.InvalidArgument, "hello"},
		"empty":            {empty, fault.InvalidArgument, "frame"},
		"no observations":  {observeFrame(1), fault.InvalidArgument, "observe.observations"},
		"too many":         {observeFrame(1, big...), fault.InvalidArgument, "observe.observations"},
		"sequence zero":    {observeFrame(0, "x"), fault.InvalidArgument, "observe.first_sequence"},
		"past the last":    {observeFrame(^uint64(0), "x"), fault.InvalidArgument, "observe.first_sequence"},
		"forget zero":      {forget, fault.InvalidArgument, "forget.sequence"},
		"recall zero":      {recallFrame(0), fault.InvalidArgument, "recall.recall_id"},
		"cancel zero":      {cancel, fault.InvalidArgument, "recall_id"},
		"flow control":     {flow, fault.Unimplemented, "flow"},
		"goodbye, graphed": {graphed, fault.Unimplemented, "goodbye.wait_graphed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				w, _ := h.open(t)
				w.in <- c.frame
				err := <-w.result
				assert.Equal(t, c.kind, fault.KindOf(err))
				assert.Equal(t, c.field, fault.As(err).Field)
				assert.Equal(t, []string{"s1/1"}, h.journal.detachedSessions(), "the session stays resumable")
			})
		})
	}
}

func TestHelloThatIsRefused(t *testing.T) {
	long := strings.Repeat("x", 65)
	for name, c := range map[string]struct {
		frame *engramv1.MemoryFlowRequest
		kind  fault.Kind
		field string
	}{
		"observe first": {observeFrame(1, "x"), fault.InvalidArgument, "hello"},
		"name":          {helloFrame("Faces!"), fault.InvalidArgument, "space"},
		"long name":     {helloFrame(long), fault.InvalidArgument, "space"},
		"unknown": {&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{
			Space: "faces", SessionId: "gone", ResumeToken: []byte("token"),
		}}}, fault.NotFound, ""},
		"graphed": {&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{
			Space: "faces", AckLevel: engramv1.AckLevel_ACK_LEVEL_GRAPHED,
		}}}, fault.Unimplemented, "hello.ack_level"},
		"result limit": {&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{
			Space: "faces", ResultLimit: 1,
		}}}, fault.Unimplemented, "hello.result_limit"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness().dial(t.Context())
				w.in <- c.frame
				err := <-w.result
				assert.Equal(t, c.kind, fault.KindOf(err))
				assert.Equal(t, c.field, fault.As(err).Field)
			})
		})
	}
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		time.Sleep(heartbeatInterval + time.Second)
		got := w.frames()
		require.Len(t, got, 1, "one pong after %v of quiet", heartbeatInterval)
		assert.NotNil(t, got[0].GetPong())

		w.in <- &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Ping{Ping: &engramv1.Ping{Nonce: 77}}}
		got = w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, uint64(77), got[0].GetPong().GetNonce())

		time.Sleep(heartbeatInterval - time.Second)
		assert.Empty(t, w.frames(), "what was sent puts the heartbeat off")
	})
}

func TestGapNackIsRepeatedOnHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		w.in <- observeFrame(5, "x")
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, uint64(1), got[0].GetNack().GetExpectedSequence())
		w.in <- observeFrame(6, "y")
		assert.Empty(t, w.frames(), "one nack for all that a gap discards")
		time.Sleep(heartbeatInterval + time.Second)
		got = w.frames()
		require.Len(t, got, 2)
		assert.Equal(t, engramv1.Nack_REASON_SEQUENCE_GAP, got[0].GetNack().GetReason())
		assert.Equal(t, uint64(1), got[0].GetNack().GetExpectedSequence())
		w.in <- observeFrame(1, "a", "b", "c", "d", "x", "y")
		assert.Equal(t, uint64(6), w.frames()[0].GetAck().GetCommittedThrough())
		assert.Equal(t, session.Tally{Offered: 8, Accepted: 6, Nacked: 2}, h.hub.Tally())
	})
}

func TestLateRefusalStepsBackAndSaysSo(t *testing.T) {
	for name, refusal := range map[string]*session.Refusal{
		"storage": {Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Expected: 1},
		"gap":     {Verdict: session.Nacked, Nack: session.NackSequenceGap, Expected: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				h.pipeline.hold = true
				w, _ := h.open(t)
				w.in <- observeFrame(1, "x", "y")
				synctest.Wait()
				items := h.pipeline.lanes
				require.Len(t, items, 2)
				st := h.hub.live["s1"]
				for range items {
					st.settler.Settle(0, graph.Outcome{Err: refusal})
				}
				got := w.frames()
				require.Len(t, got, 1)
				assert.Equal(t, uint64(1), got[0].GetNack().GetExpectedSequence())
				assert.Equal(t, engramv1.Nack_Reason(refusal.Nack), got[0].GetNack().GetReason())
				assert.Equal(t, uint64(1), st.att.Window.Expected())
			})
		})
	}
}

func TestOverloadPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.full = &session.Refusal{Verdict: session.Nacked, Nack: session.NackResourceExhausted, Retry: time.Second, Fill: 0.95}
		w, _ := h.open(t)
		w.in <- observeFrame(1, "x")
		got := w.frames()
		require.Len(t, got, 1, "a nack and the stream goes on")
		assert.Equal(t, time.Second, got[0].GetNack().GetRetryAfter().AsDuration())

		failing := h.dial(t.Context())
		failing.in <- &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{
			Space: "faces", OverloadPolicy: engramv1.OverloadPolicy_OVERLOAD_POLICY_FAIL_STREAM,
		}}}
		failing.in <- observeFrame(1, "x")
		err := <-failing.result
		assert.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
		assert.Equal(t, time.Second, fault.As(err).RetryAfter)
		assert.Equal(t, session.Tally{Offered: 2, Nacked: 2}, h.hub.Tally())
	})
}

func TestTakeoverFencesTheOlderStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		older, welcome := h.open(t)
		newer := h.dial(t.Context())
		newer.in <- &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{
			Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken(),
		}}}
		w := newer.frames()[0].GetWelcome()
		assert.True(t, w.GetResumed())
		assert.Equal(t, uint64(2), w.GetEpoch())
		assert.Equal(t, []byte("token"), w.GetResumeToken())
		assert.Equal(t, engramv1.GoAway_REASON_FENCED, older.frames()[0].GetGoAway().GetReason())

		older.in <- observeFrame(1, "late", "later")
		synctest.Wait()
		assert.Equal(t, uint64(2), h.hub.Tally().Superseded, "a fenced stream is read on and counted")
		time.Sleep(fenceLinger)
		err := <-older.result
		assert.Equal(t, fault.Aborted, fault.KindOf(err))
		assert.Empty(t, h.journal.detachedSessions(), "the session is the newer stream's")

		newer.in <- observeFrame(1, "x")
		assert.Equal(t, uint64(1), newer.frames()[0].GetAck().GetCommittedThrough())
		close(newer.in)
		require.NoError(t, <-newer.result)
		assert.Equal(t, []string{"s1/2"}, h.journal.detachedSessions())
	})
}

// TestSupersededIsSaid: a takeover whose client leaves before it reaches the hub has raised the epoch all the same, and
// a session can end under its stream. Only the journal's refusals tell, and a client that hears nothing waits for ever.
func TestSupersededIsSaid(t *testing.T) {
	gone := fault.New(fault.NotFound, "the session is unknown or has expired").WithReason("SESSION_EXPIRED")
	for name, c := range map[string]struct {
		refusal *session.Refusal
		told    bool
		kind    fault.Kind
	}{
		"taken over": {session.ErrSuperseded, true, fault.Aborted},
		"gone":       {&session.Refusal{Verdict: session.Superseded, Cause: gone}, false, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				h.pipeline.hold = true
				w, _ := h.open(t)
				w.in <- observeFrame(1, "x", "y")
				synctest.Wait()
				st := h.hub.live["s1"]
				for range 2 {
					st.settler.Settle(0, graph.Outcome{Err: c.refusal})
				}
				got := w.frames()
				require.Equal(t, c.told, len(got) == 1)
				if c.told {
					assert.Equal(t, engramv1.GoAway_REASON_FENCED, got[0].GetGoAway().GetReason())
				}
				time.Sleep(fenceLinger)
				require.Equal(t, c.kind, fault.KindOf(<-w.result))
			})
		})
	}
}

// TestTheHigherEpochServes: two takeovers may reach the hub in another order than the journal.
func TestTheHigherEpochServes(t *testing.T) {
	h := newHarness()
	attached := func(epoch uint64) *stream {
		grant := session.Grant{SessionID: "s1", Epoch: epoch, Space: memory.Space{Name: "faces"}}
		st := newStream(t.Context(), h.Server, &wire{readClosed: make(chan struct{})}, grant, &engramv1.Hello{})
		h.hub.attach(st)
		return st
	}
	newer, older := attached(3), attached(2)
	defer func() { require.Error(t, older.ending()) }()
	assert.True(t, older.att.Fenced())
	assert.False(t, newer.att.Fenced())
	assert.False(t, h.hub.detach(older))
	assert.True(t, h.hub.detach(newer))
}

func TestAResumeWaitsUntilWhatIsCommittedIsFindable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.journal.sessions["s9"] = &session.Grant{SessionID: "s9", Committed: 4, Version: 11, Space: memory.Space{Name: "faces"}}
		resume := func() *wire {
			w := h.dial(t.Context())
			w.in <- &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{Space: "faces", SessionId: "s9"}}}
			return w
		}
		w := resume()
		assert.Equal(t, uint64(4), w.frames()[0].GetWelcome().GetCommittedThrough())
		assert.Equal(t, []memory.Version{11}, h.index.waited)
		close(w.in)
		require.NoError(t, <-w.result)
		h.index.unpublished = fault.New(fault.Corrupt, "degraded")
		assert.Equal(t, fault.Corrupt, fault.KindOf(<-resume().result))
		assert.Equal(t, []string{"s9/1", "s9/2"}, h.journal.detachedSessions(), "a session that could not be served is not left attached")
	})
}

func TestShutdownTellsThenSettlesThenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.pipeline.hold = true
		w, _ := h.open(t)
		w.in <- observeFrame(1, "x")
		synctest.Wait()
		h.hub.GoAway()
		got := w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, engramv1.GoAway_REASON_SHUTDOWN, got[0].GetGoAway().GetReason())
		h.pipeline.release()
		assert.Zero(t, h.hub.Leave(t.Context()))
		assert.Equal(t, uint64(1), w.frames()[0].GetAck().GetCommittedThrough(), "acks are written before the end")
		assert.Equal(t, fault.Unavailable, fault.KindOf(<-w.result))
		late := h.dial(t.Context())
		assert.Equal(t, "SHUTDOWN", fault.As(<-late.result).Reason)
	})
}

func TestClientThatReadsNothingLosesItsStreamOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		w.out = nil // from now on every Send blocks
		began := time.Now()
		w.in <- observeFrame(1, "x")
		err := <-w.result
		assert.Equal(t, "UNREAD", fault.As(err).Reason)
		assert.Equal(t, writeTimeout, time.Since(began))
		assert.Equal(t, []string{"s1/1"}, h.journal.detachedSessions())
		assert.Equal(t, session.Tally{Offered: 1, Accepted: 1}, h.hub.Tally())
	})
}

func TestAPanicEndsItsStreamOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		healthy, _ := h.open(t)
		reader, _ := h.open(t)
		h.pipeline.explode = true
		reader.in <- observeFrame(1, "x")
		assert.Equal(t, fault.Internal, fault.KindOf(<-reader.result))
		h.pipeline.explode = false

		recaller, _ := h.open(t)
		h.index.recall = func(context.Context, memory.Query) (memory.Result, error) { panic("boom") }
		recaller.in <- recallFrame(1)
		assert.Equal(t, fault.Internal, fault.KindOf(<-recaller.result))

		healthy.in <- observeFrame(1, "x")
		assert.Equal(t, uint64(1), healthy.frames()[0].GetAck().GetCommittedThrough())
	})
}

func TestAnAbortedItemEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		h.pipeline.err = fault.New(fault.Internal, "a stage failed")
		w.in <- observeFrame(1, "x")
		err := <-w.result
		assert.Equal(t, fault.Unavailable, fault.KindOf(err))
		assert.Equal(t, "ABORTED", fault.As(err).Reason)
		assert.Equal(t, session.Tally{Offered: 1, Aborted: 1}, h.hub.Tally())
	})
}

func TestTooManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		for range h.limits.Streams {
			h.open(t)
		}
		err := <-h.dial(t.Context()).result
		assert.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
		assert.Equal(t, "TOO_MANY_STREAMS", fault.As(err).Reason)
	})
}

func TestCreditIsGrantedAsItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, welcome := h.open(t)
		limit := welcome.GetCredit().GetSequenceLimit()
		w.in <- observeFrame(1, make([]string, limit/2)...)
		var grant *engramv1.Credit
		for _, f := range w.frames() {
			if c := f.GetCredit(); c != nil {
				grant = c
			}
		}
		require.NotNil(t, grant, "half is used")
		assert.Greater(t, grant.GetSequenceLimit(), limit)
	})
}

func TestASilentClientLearnsThatTheWaitIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		w, _ := h.open(t)
		busy := calm()
		busy.State, busy.Retry, busy.Stage = session.CreditBufferFull, time.Second, "admit"
		h.gauge.set(busy)
		w.in <- observeFrame(1, "x")
		got := w.frames()
		assert.Equal(t, engramv1.Credit_STATE_BUFFER_FULL, got[len(got)-1].GetCredit().GetState())
		time.Sleep(2 * pressureInterval)
		assert.Empty(t, w.frames())
		h.gauge.set(calm())
		time.Sleep(pressureInterval)
		got = w.frames()
		require.Len(t, got, 1)
		assert.Equal(t, engramv1.Credit_STATE_OK, got[0].GetCredit().GetState())
	})
}
