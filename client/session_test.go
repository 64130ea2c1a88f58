package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func bubble(t *testing.T, test func(p *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newScript(t)) })
}

func TestObservationsShareAMessageAfterTheLinger(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		observe(t, s, 3)
		pass(DefaultLinger - time.Nanosecond)
		require.Nil(t, w.next())
		pass(time.Nanosecond)
		first, n := w.batch()
		assert.Equal(t, uint64(1), first)
		assert.Equal(t, 3, n)
	})
}

func TestNegativeLingerSendsEachAtOnce(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		defer abandon(s)
		for i := range 3 {
			observe(t, s, 1)
			first, n := w.batch()
			assert.Equal(t, uint64(i+1), first)
			assert.Equal(t, 1, n)
		}
	})
}

func TestBatchesKeepToTheSmallerOfBothLimits(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		hello := welcome(1, 0)
		hello.Limits = &engramv1.Limits{MaxBatchObservations: 2}
		s, w := p.open(SessionOptions{MaxBatch: 5}, hello)
		defer abandon(s)
		observe(t, s, 4)
		_, n := w.batch()
		assert.Equal(t, 2, n)
		_, n = w.batch()
		assert.Equal(t, 2, n)
	})
}

func TestNothingIsSentBeyondTheCredit(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, withCredit(welcome(1, 0), 2))
		defer abandon(s)
		observe(t, s, 5)
		pass(time.Second)
		_, n := w.batch()
		require.Equal(t, 2, n)
		pass(time.Second)
		require.Nil(t, w.next())
		w.credit(&engramv1.Credit{SequenceLimit: 4})
		first, n := w.batch()
		assert.Equal(t, uint64(3), first)
		assert.Equal(t, 2, n)
		assert.Equal(t, uint64(4), s.Stats().Sent)
	})
}

func TestTheBufferIsFreedOnCommittedOnly(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{BufferItems: 2}, welcome(1, 0))
		defer abandon(s)
		observe(t, s, 2)
		pass(time.Second)

		blocked := make(chan error, 1)
		go func() {
			_, err := s.Observe(t.Context(), Observation{})
			blocked <- err
		}()
		w.accepted(2)
		assert.Empty(t, blocked, "accepted frees nothing")
		w.ack(1)
		assert.NoError(t, <-blocked)
		assert.Equal(t, uint64(2), s.Stats().Buffered)
	})
}

func TestAFullBufferHonoursTheContext(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, _ := p.open(SessionOptions{BufferBytes: 30}, welcome(1, 0))
		defer abandon(s)
		observe(t, s, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Observe(ctx, Observation{Content: "ten bytes "})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "the buffer is full: 2 observations with 20 bytes are not committed")
	})
}

func TestWaitAndFlushTellWhatBecameOfEach(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		var events []Event
		s, w := p.open(SessionOptions{OnEvent: func(e Event) { events = append(events, e) }}, welcome(1, 0))
		defer abandon(s)
		sent := observe(t, s, 4)
		flushed := make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		_, n := w.batch()
		require.Equal(t, 4, n, "a flush does not linger")
		w.ack(1)
		assert.NoError(t, sent[0].Wait(t.Context()))
		assert.Empty(t, flushed)

		w.ack(4, &engramv1.Rejection{Range: &engramv1.SequenceRange{First: 2, Last: 3}, Code: 3, Reason: "not finite", Field: "embedding_f32"})
		var rejected *RejectedError
		require.ErrorAs(t, <-flushed, &rejected)
		assert.Equal(t, uint64(2), rejected.First)
		assert.Equal(t, 1, rejected.More)
		assert.EqualError(t, rejected, "engram: observation 2 rejected: embedding: not finite (and 1 more rejected)")
		assert.EqualError(t, sent[2].Wait(t.Context()), "engram: observation 3 rejected: embedding: not finite", "again to who asks")
		assert.NoError(t, sent[3].Wait(t.Context()))
		assert.NoError(t, s.Flush(t.Context()), "reported once")
		require.Len(t, events, 3)
		assert.Equal(t, EventConnected, events[0].Kind)
		assert.Equal(t, EventRejected, events[1].Kind)
	})
}

func TestARejectionIsToldOnceByWaitOrElseByFlushAndClose(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		reject := func(number uint64) *engramv1.Rejection {
			return &engramv1.Rejection{Range: &engramv1.SequenceRange{First: number, Last: number}, Reason: "NaN"}
		}
		sent := observe(t, s, 3)
		pass(time.Second)
		w.ack(3, reject(1), reject(2))
		assert.Error(t, sent[0].Wait(t.Context()))
		assert.Error(t, sent[0].Wait(t.Context()))
		var rejected *RejectedError
		require.ErrorAs(t, s.Flush(t.Context()), &rejected)
		assert.Zero(t, rejected.More, "the other one was told by its Wait")
		assert.Error(t, sent[1].Wait(t.Context()))
		assert.NoError(t, s.Flush(t.Context()))

		observe(t, s, 1)
		pass(time.Second)
		w.ack(4, reject(4))
		closed := make(chan error, 1)
		go func() {
			_, err := s.Close(t.Context())
			closed <- err
		}()
		for m := w.next(); m.GetGoodbye() == nil; m = w.next() {
			require.NotNil(t, m)
		}
		w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Closed{Closed: &engramv1.Closed{FinalSequence: 4}}}
		require.ErrorAs(t, <-closed, &rejected)
		assert.Equal(t, uint64(4), rejected.First)
	})
}

func TestWaitHonoursTheContext(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, _ := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		sent := observe(t, s, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, sent[0].Wait(ctx), context.DeadlineExceeded)
		assert.ErrorContains(t, s.Flush(ctx), "1 not committed yet")
	})
}

func TestPendingsKnowTheirNumberAndMemory(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, _ := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		derived := observe(t, s, 1)[0]
		named, err := s.Observe(t.Context(), Observation{ID: "mine"})
		require.NoError(t, err)
		forgotten, err := s.Forget(t.Context(), "mine")
		require.NoError(t, err)
		assert.Equal(t, "s1-1", derived.MemoryID())
		assert.Equal(t, "mine", named.MemoryID())
		assert.Empty(t, forgotten.MemoryID())
		assert.Equal(t, uint64(3), forgotten.Sequence())
	})
}

func TestForgetTravelsInItsPlace(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		observe(t, s, 2)
		_, err := s.Forget(t.Context(), "a", "b")
		require.NoError(t, err)
		pass(DefaultLinger)
		_, n := w.batch()
		assert.Equal(t, 2, n)
		forget := w.next().GetForget()
		assert.Equal(t, uint64(3), forget.GetSequence())
		assert.Equal(t, []string{"a", "b"}, forget.GetTarget().GetMemoryIds())
	})
}

func TestWhatCanNeverBeSentIsRefusedAtOnce(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		hello := welcome(1, 0)
		hello.Limits = &engramv1.Limits{MaxMessageBytes: 1000}
		s, _ := p.open(SessionOptions{}, hello)
		defer abandon(s)
		for field, o := range map[string]Observation{
			"observation":      {Content: string(make([]byte, 1000))},
			"Content":          {Content: "\xff"},
			"ID":               {ID: "\xff"},
			`Metadata["when"]`: {Metadata: map[string]any{"when": time.Now()}},
			`Metadata["big"]`:  {Metadata: map[string]any{"big": uint64(1 << 63)}},
		} {
			_, err := s.Observe(t.Context(), o)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, field, e.Field)
		}
		_, err := s.Forget(t.Context())
		assert.ErrorContains(t, err, "between 1 and 10000")
		assert.Zero(t, s.Stats().Buffered)
	})
}

func TestANackRewindsAndWaits(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		var nacked Event
		s, w := p.open(SessionOptions{Linger: -1, OnEvent: func(e Event) { nacked = e }}, welcome(1, 0))
		defer abandon(s)
		for range 3 {
			observe(t, s, 1)
			w.batch()
		}
		w.nack(&engramv1.Nack{
			ExpectedSequence: 2, Reason: engramv1.Nack_REASON_RESOURCE_EXHAUSTED,
			RetryAfter: durationpb.New(300 * time.Millisecond), Message: "the queue is full",
		})
		pass(299 * time.Millisecond)
		require.Nil(t, w.next())
		pass(time.Millisecond)
		first, n := w.batch()
		assert.Equal(t, uint64(2), first)
		assert.Equal(t, 2, n)
		assert.Equal(t, EventNacked, nacked.Kind)
		assert.EqualError(t, nacked.Err, "engram: observe: the queue is full")
		stats := s.Stats()
		assert.Equal(t, SessionStats{Sent: 5, Resent: 2, Nacked: 2, Buffered: 3}, stats)
	})
}

func TestSlowDownIsTold(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		var kinds []EventKind
		s, w := p.open(SessionOptions{OnEvent: func(e Event) { kinds = append(kinds, e.Kind) }}, welcome(1, 0))
		defer abandon(s)
		w.credit(&engramv1.Credit{State: engramv1.Credit_STATE_SLOW_DOWN})
		w.credit(&engramv1.Credit{State: engramv1.Credit_STATE_SLOW_DOWN})
		w.credit(&engramv1.Credit{State: engramv1.Credit_STATE_OK})
		assert.Equal(t, []EventKind{EventConnected, EventSlowDown, EventSpeedUp}, kinds)
	})
}

func TestCloseSettlesEverythingAndEndsTheSession(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		observe(t, s, 2)
		type result struct {
			final uint64
			err   error
		}
		closed := make(chan result, 1)
		go func() {
			final, err := s.Close(t.Context())
			closed <- result{final, err}
		}()
		_, n := w.batch()
		require.Equal(t, 2, n, "no linger at the end")
		require.Nil(t, w.next(), "no Goodbye before all is settled")
		_, err := s.Observe(t.Context(), Observation{})
		assert.ErrorIs(t, err, ErrClosed)
		w.ack(2)
		assert.True(t, w.closing(2).GetEndSession())
		assert.Equal(t, result{2, nil}, <-closed)
		<-s.Done()
		_, err = s.Recall(t.Context(), Query{})
		assert.ErrorIs(t, err, ErrClosed)
		_, err = s.Close(t.Context())
		require.NoError(t, err, "closing again is no error")
	})
}

func TestDetachKeepsTheSessionAndReturnsItsTicket(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		observe(t, s, 1)
		pass(DefaultLinger)
		w.batch()
		w.ack(1)
		tickets := make(chan Ticket, 1)
		go func() {
			ticket, err := s.Detach(t.Context())
			assert.NoError(t, err)
			tickets <- ticket
		}()
		assert.False(t, w.closing(1).GetEndSession())
		assert.Equal(t, Ticket{SessionID: "s1", Token: []byte("token"), Committed: 1}, <-tickets)
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, _ := p.open(SessionOptions{}, welcome(1, 0))
		sent := observe(t, s, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Close(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "2 not committed")
		assert.ErrorIs(t, sent[0].Wait(t.Context()), context.DeadlineExceeded)
	})
}

func TestATicketGoesOnWhereTheOtherProgramStopped(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		hello := welcome(4, 7)
		hello.Rejected = []*engramv1.Rejection{{Range: &engramv1.SequenceRange{First: 6, Last: 6}, Reason: "NaN"}}
		var events []Event
		s, w := p.open(SessionOptions{
			Resume:  &Ticket{SessionID: "s1", Token: []byte("token"), Committed: 5},
			OnEvent: func(e Event) { events = append(events, e) },
		}, hello)
		defer abandon(s)
		assert.Equal(t, uint64(7), s.Committed())
		assert.Equal(t, uint64(8), observe(t, s, 1)[0].Sequence())
		pass(DefaultLinger)
		first, _ := w.batch()
		assert.Equal(t, uint64(8), first)
		require.NotEmpty(t, events)
		assert.Equal(t, EventRejected, events[0].Kind)
		assert.Equal(t, uint64(6), events[0].Sequence)
	})
}

func TestOpenRefusesAServerThatHasLessThanTheTicket(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		c, err := New("127.0.0.1:1")
		require.NoError(t, err)
		go func() {
			w := <-p.dials
			assert.Equal(t, uint64(9), w.hello().GetLastCommittedSequence())
			w.welcome(welcome(2, 8))
		}()
		_, err = c.open(t.Context(), "notes", SessionOptions{Resume: &Ticket{SessionID: "s1", Committed: 9}}, p.dial)
		assert.ErrorIs(t, err, ErrServerBehind)
	})
}

func TestOpenHonoursItsContextAndOutlivesIt(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		c, err := New("127.0.0.1:1")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.open(ctx, "notes", SessionOptions{}, p.dial) // nobody answers
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "open session: no answer from 127.0.0.1:1 in time")
	})
	bubble(t, func(p *script) {
		t := p.t
		c, err := New("127.0.0.1:1")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			w := <-p.dials
			w.hello()
			w.welcome(welcome(1, 0))
		}()
		s, err := c.open(ctx, "notes", SessionOptions{}, p.dial)
		require.NoError(t, err)
		cancel()
		synctest.Wait()
		assert.NoError(t, s.Err())
		abandon(s)
	})
}
