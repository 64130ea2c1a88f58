package client

import (
	"context"
	"io"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// wireError is an error as the server sends it, with its details.
func wireError(code connect.Code, message string, details ...proto.Message) error {
	err := connect.NewError(code, errorString(message))
	for _, m := range details {
		d, failed := connect.NewErrorDetail(m)
		if failed != nil {
			panic(failed)
		}
		err.AddDetail(d)
	}
	return err
}

func TestALostStreamIsResumedBehindWhatIsCommitted(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		defer abandon(s)
		sent := observe(t, s, 5)
		for m := w.next(); m != nil; m = w.next() {
		}
		w.ack(1)
		w.lose(unavailable("connection reset"))
		late := observe(t, s, 1) // taken while there is no connection

		w, hello := p.reopened(welcome(2, 3)) // the acks of 2 and 3 were lost
		assert.Equal(t, "s1", hello.GetSessionId())
		assert.Equal(t, []byte("token"), hello.GetResumeToken())
		assert.Equal(t, uint64(1), hello.GetLastCommittedSequence())
		assert.NoError(t, sent[2].Wait(t.Context()))
		first, n := w.batch()
		assert.Equal(t, uint64(4), first)
		assert.Equal(t, 3, n)
		w.ack(6)
		assert.NoError(t, late[0].Wait(t.Context()))
		assert.Equal(t, SessionStats{Sent: 8, Resent: 2, Committed: 6, Recovered: 2, Lost: 2, Reconnects: 1}, s.Stats())
	})
}

func TestRejectionsOfLostAcksAreToldByTheWelcome(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		defer abandon(s)
		sent := observe(t, s, 1)
		w.batch()
		w.lose(io.EOF)
		hello := welcome(2, 1)
		hello.Rejected = []*engramv1.Rejection{{Range: &engramv1.SequenceRange{First: 1, Last: 1}, Reason: "NaN"}}
		p.reopened(hello)
		assert.EqualError(t, sent[0].Wait(t.Context()), "engram: observation 1 rejected: NaN")
	})
}

func TestReconnectingBacksOffAndGivesUp(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		var pauses []time.Duration
		s, w := p.open(SessionOptions{ReconnectFor: time.Minute, OnEvent: func(e Event) {
			if e.Kind == EventDisconnected {
				pauses = append(pauses, e.After)
			}
		}}, welcome(1, 0))
		sent := observe(t, s, 1)
		p.refuse = unavailable("connection refused")
		began := time.Now()
		w.lose(unavailable("connection reset"))
		<-s.Done()
		assert.InDelta(t, time.Minute, time.Since(began), float64(2*reconnectMax))
		assert.ErrorContains(t, s.Err(), "gave up reconnecting after 1m0s: connection refused (1 not committed)")
		assert.ErrorContains(t, sent[0].Wait(t.Context()), "gave up")
		require.Greater(t, len(pauses), 10)
		assert.Less(t, pauses[0], reconnectBase)
		assert.Greater(t, pauses[len(pauses)-1], reconnectMax/2-1)
		for _, pause := range pauses {
			assert.LessOrEqual(t, pause, reconnectMax)
		}
	})
}

func TestAServerThatBreaksEveryStreamIsNotHammered(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		began := time.Now()
		for i := range 8 {
			w.lose(io.EOF)
			w, _ = p.reopened(welcome(uint64(i+2), 0))
		}
		assert.Greater(t, time.Since(began), reconnectMax, "a Welcome alone does not reset the backoff")
	})
}

func TestAGoodStreamResetsTheBackoff(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		for i := range 8 {
			pass(2 * reconnectMax)
			lost := time.Now()
			w.lose(io.EOF)
			w, _ = p.reopened(welcome(uint64(i+2), 0))
			assert.Less(t, time.Since(lost), reconnectBase)
		}
	})
}

func TestTheServersRetryAfterIsHonoured(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		began := time.Now()
		w.lose(wireError(connect.CodeResourceExhausted, "too many streams", &errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)}))
		p.reopened(welcome(2, 0))
		assert.GreaterOrEqual(t, time.Since(began), 3*time.Second)
	})
}

func TestAnErrorThatRetryingCannotHelpEndsTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want error
		text string
	}{
		"expired": {
			err:  wireError(connect.CodeNotFound, "session s1: unknown or expired", &errdetails.ErrorInfo{Reason: "SESSION_EXPIRED"}),
			want: ErrSessionExpired, text: "unknown or expired",
		},
		"behind": {
			err:  wireError(connect.CodeFailedPrecondition, "the client saw 9 committed, the server has 8", &errdetails.ErrorInfo{Reason: "COMMITTED_AHEAD"}),
			want: ErrServerBehind, text: "the client saw 9 committed, the server has 8",
		},
		"fenced": {
			err:  wireError(connect.CodeAborted, "a newer stream has taken the session over", &errdetails.ErrorInfo{Reason: "FENCED"}),
			want: ErrFenced, text: "taken the session over",
		},
		"wrong token": {err: wireError(connect.CodePermissionDenied, "wrong token"), text: "wrong token"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(p *script) {
				t := p.t
				s, w := p.open(SessionOptions{}, welcome(1, 0))
				sent := observe(t, s, 1)
				w.lose(test.err)
				<-s.Done()
				assert.Empty(t, p.dials, "it did not dial again")
				assert.ErrorContains(t, s.Err(), test.text)
				assert.ErrorContains(t, sent[0].Wait(t.Context()), test.text)
				if test.want != nil {
					assert.ErrorIs(t, s.Err(), test.want)
				}
				_, err := s.Observe(t.Context(), Observation{})
				assert.Equal(t, s.Err(), err)
				assert.Equal(t, s.Err(), s.Flush(t.Context()))
				_, err = s.Close(t.Context())
				assert.Equal(t, s.Err(), err)
			})
		})
	}
}

func TestAFencedSessionFailsAndStaysAway(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		var last Event
		s, w := p.open(SessionOptions{OnEvent: func(e Event) { last = e }}, welcome(1, 0))
		w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_FENCED})
		<-s.Done()
		pass(time.Hour)
		assert.Empty(t, p.dials)
		assert.ErrorIs(t, s.Err(), ErrFenced)
		assert.Equal(t, EventFailed, last.Kind)
	})
}

// What another program has stored under the same numbers must not be taken for this session's own.
func TestAnotherProgramInBetweenIsNoticed(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		observe(t, s, 2)
		w.lose(io.EOF)
		lost := <-p.dials
		lost.hello()
		lost.lose(io.EOF) // whether the server saw it, this side cannot know
		p.reopened(heldSince(welcome(3, 2), 3))
		<-s.Done()
		assert.ErrorIs(t, s.Err(), ErrFenced)
		assert.Zero(t, s.Stats().Committed)
	})
}

func TestALostWelcomeIsNoOtherProgram(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(4, 0))
		defer abandon(s)
		w.lose(io.EOF)
		lost := <-p.dials
		first := lost.hello()
		lost.lose(io.EOF) // the server had answered with epoch 5
		_, hello := p.reopened(heldSince(welcome(6, 0), 4))
		assert.NoError(t, s.Err())
		assert.NotEmpty(t, hello.GetWriterId())
		assert.Equal(t, first.GetWriterId(), hello.GetWriterId())
	})
}

func TestAServerThatGoesAwayIsLetFinishAndResumed(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		defer abandon(s)
		observe(t, s, 1)
		w.batch()
		w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_SHUTDOWN, ReconnectAfter: durationpb.New(2 * time.Second)})
		observe(t, s, 1)
		require.Nil(t, w.next(), "nothing is sent to a server that leaves")
		<-w.closed
		w.ack(1)
		assert.Equal(t, uint64(1), s.Committed(), "what it still settles counts")
		began := time.Now()
		w.lose(unavailable("the server is shutting down"))
		w, _ = p.reopened(welcome(2, 1))
		assert.GreaterOrEqual(t, time.Since(began), 2*time.Second)
		first, _ := w.batch()
		assert.Equal(t, uint64(2), first)
	})
}

func TestAServerThatSaysGoAwayAndHangsIsLeft(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		began := time.Now()
		w.goAway(&engramv1.GoAway{Reason: engramv1.GoAway_REASON_REBALANCE})
		p.reopened(welcome(2, 0))
		assert.InDelta(t, goAwayGrace, time.Since(began), float64(time.Second))
	})
}

func TestASilentServerIsPingedAndThenLeft(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		var why error
		s, w := p.open(SessionOptions{OnEvent: func(e Event) { why = e.Err }}, welcome(1, 0))
		defer abandon(s)
		pass(defaultHeartbeat)
		require.NotNil(t, w.next().GetPing())
		pass(defaultHeartbeat)
		require.NotNil(t, w.next().GetPing())
		pass(defaultHeartbeat)
		assert.ErrorContains(t, why, "nothing heard from 127.0.0.1:1")
		p.reopened(welcome(2, 0))
	})
}

func TestAHeartbeatKeepsAnIdleStream(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		defer abandon(s)
		for range 20 {
			pass(defaultHeartbeat)
			w.down <- &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Pong{Pong: &engramv1.Pong{}}}
		}
		assert.Empty(t, p.dials)
		assert.Zero(t, s.Stats().Reconnects)
	})
}

func TestAServerThatBreaksTheProtocolEndsTheSession(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{Linger: -1}, welcome(1, 0))
		sent := observe(t, s, 1)
		w.batch()
		w.ack(2)
		<-s.Done()
		assert.Empty(t, p.dials)
		assert.ErrorContains(t, s.Err(), "acknowledges number 2, but only 1 were sent")
		assert.Error(t, sent[0].Wait(t.Context()))
	})
}

func TestCloseReconnectsToSettleWhatIsLeft(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		observe(t, s, 1)
		w.lose(io.EOF)
		closed := make(chan error, 1)
		go func() {
			_, err := s.Close(t.Context())
			closed <- err
		}()
		w, _ = p.reopened(welcome(2, 0))
		_, n := w.batch()
		require.Equal(t, 1, n)
		w.ack(1)
		w.closing(1)
		assert.NoError(t, <-closed)
	})
}

func TestCloseIsDoneWhenTheServerHadEndedTheSessionAlready(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		closed := make(chan error, 1)
		go func() {
			_, err := s.Close(t.Context())
			closed <- err
		}()
		require.NotNil(t, w.next().GetGoodbye())
		w.lose(io.EOF) // Closed is lost
		wire := <-p.dials
		wire.hello()
		wire.lose(wireError(connect.CodeNotFound, "unknown or expired", &errdetails.ErrorInfo{Reason: "SESSION_EXPIRED"}))
		assert.NoError(t, <-closed)
	})
}

func TestDetachWithoutAConnectionAndNothingLeftIsDone(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{}, welcome(1, 0))
		p.refuse = unavailable("connection refused")
		w.lose(io.EOF)
		pass(time.Minute)
		_, err := s.Detach(t.Context())
		assert.NoError(t, err)
	})
}

func TestAFullBufferSaysWhyItDoesNotDrain(t *testing.T) {
	bubble(t, func(p *script) {
		t := p.t
		s, w := p.open(SessionOptions{BufferItems: 1}, welcome(1, 0))
		defer abandon(s)
		observe(t, s, 1)
		p.refuse = unavailable("connection refused")
		w.lose(io.EOF)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Observe(ctx, Observation{})
		assert.ErrorContains(t, err, "no connection: engram: session: connection refused")
	})
}
