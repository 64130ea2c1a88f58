package transports

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// lateInlet takes the numbers of every offer and keeps it, for a test to settle as the engine's goroutines would.
type lateInlet struct {
	mu     sync.Mutex
	offers []graph.Offer[session.Incoming]
	during func() // runs in an offer, after its numbers are taken: what another goroutine does meanwhile
}

func (l *lateInlet) Offer(_ context.Context, o graph.Offer[session.Incoming]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := o.Items[0].From
	from.Outbox.Accept(from.Window.Accept(o.Items[0].Sequence, len(o.Items)).Expected - 1)
	l.offers = append(l.offers, o)
	if l.during != nil {
		l.during()
	}
	return nil
}

func (l *lateInlet) settle(i int, o graph.Outcome) {
	for n := range l.offers[i].Items {
		l.offers[i].Settler.Settle(n, o)
	}
}

// lateStream is a stream over a lateInlet, and what its client has been told.
type lateStream struct {
	*wire
	inlet                      *lateInlet
	limit, committed, expected uint64
}

func newLateStream(t *testing.T, h *harness, policy engramv1.OverloadPolicy) *lateStream {
	t.Helper()
	inlet := &lateInlet{}
	h.Inlet = inlet
	s := &lateStream{wire: h.dial(t.Context()), inlet: inlet}
	hello := helloFrame("faces")
	hello.GetHello().OverloadPolicy = policy
	s.in <- hello
	s.limit = (<-s.out).GetWelcome().GetCredit().GetSequenceLimit()
	return s
}

// read takes what the client has been sent by now.
func (s *lateStream) read() {
	for {
		synctest.Wait()
		select {
		case m := <-s.out:
			s.limit = max(s.limit, m.GetCredit().GetSequenceLimit())
			s.committed = max(s.committed, m.GetAck().GetCommittedThrough())
			if n := m.GetNack(); n != nil {
				s.expected = n.GetExpectedSequence()
			}
		default:
			return
		}
	}
}

func (s *lateStream) send(first, last uint64) {
	s.in <- observeFrame(first, make([]string, last-first+1)...)
	s.read()
}

// A client that has used all its credit, and has all of it acked, is granted more, whatever took the window back for a
// moment while the reader looked.
func TestALateRefusalDoesNotLeaveTheClientWithoutCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.gauge.set(session.Pressure{State: session.CreditOK, ItemLimit: 20, Items: 4, ByteLimit: 1 << 30}) // a small share each
		s := newLateStream(t, h, engramv1.OverloadPolicy_OVERLOAD_POLICY_NACK)
		require.EqualValues(t, 16, s.limit)
		s.send(1, 8)
		s.send(9, 16)
		require.EqualValues(t, 32, s.limit)
		// The sync under 1-8 fails, and the client goes back.
		s.inlet.settle(0, graph.Outcome{Err: &session.Refusal{
			Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Expected: 1, Cause: fault.New(fault.StorageUnavailable, "EIO"),
		}})
		s.read()
		require.EqualValues(t, 1, s.expected)
		// Meanwhile the journal's lane has found 9-16 to be a gap, and settles them just as the second try is taken.
		s.inlet.during = func() {
			s.inlet.settle(1, graph.Outcome{Err: &session.Refusal{Verdict: session.Nacked, Nack: session.NackSequenceGap, Expected: 1}})
		}
		s.send(1, 32)
		from := s.inlet.offers[2].Items[0].From
		from.Reply(session.Reply{From: from, Through: 32, Version: 32})
		s.inlet.settle(2, graph.Outcome{})
		s.read()
		assert.EqualValues(t, 32, s.committed)
		assert.Greater(t, s.limit, uint64(32), "nothing is in flight, and the client may send nothing")
		close(s.in)
		s.read()
	})
}

// A stream that asked to fail on overload ends at once, and says what there is no room for.
func TestFailStreamSaysWhatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		s := newLateStream(t, h, engramv1.OverloadPolicy_OVERLOAD_POLICY_FAIL_STREAM)
		s.send(1, 1)
		s.inlet.settle(0, graph.Outcome{Err: &session.Refusal{
			Verdict: session.Nacked, Nack: session.NackResourceExhausted, Expected: 1, Late: true, Retry: time.Second,
			Cause: fault.New(fault.ResourceExhausted, "there are 7 spaces already; the limit is 7"),
		}})
		err := <-s.result
		assert.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
		assert.ErrorContains(t, err, "7 spaces")
		assert.Equal(t, time.Second, fault.As(err).RetryAfter)
	})
}
