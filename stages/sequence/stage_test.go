package sequence

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

func attach(committed uint64) *session.Attachment {
	return &session.Attachment{
		SessionID: "s", Space: "faces", Window: session.NewWindow(committed + 1), Outbox: session.NewOutbox(committed),
	}
}

// frame is a wire message's ops, numbered from first on.
func frame(from *session.Attachment, first uint64, count int) []session.Op {
	ops := make([]session.Op, count)
	for i := range ops {
		ops[i] = session.Op{From: from, Op: memory.Op{Kind: memory.OpObserve, Sequence: first + uint64(i)}, EndOfFrame: i == count-1}
	}
	return ops
}

// testContext is what a *testing.T and a *rapid.T have in common.
type testContext interface {
	require.TestingT
	Context() context.Context
}

// send puts a frame through the stage and returns what became of each op; what passed is delivered.
func send(t testContext, port *graphtest.Port[session.Op], ops []session.Op) (outcomes *graphtest.Outcomes, passed []uint64, err error) {
	in, outcomes := graphtest.NewBatch(ops...)
	err = (&stage{}).Process(t.Context(), in, port)
	for _, op := range port.Items() {
		passed = append(passed, op.Sequence)
	}
	port.DeliverAll()
	require.Equal(t, len(ops), outcomes.Settled(), "ops with a verdict")
	require.Empty(t, outcomes.Faults())
	return outcomes, passed, err
}

func verdict(o *graphtest.Outcomes, i int) (session.Verdict, *session.Refusal) {
	outcome, _ := o.Of(i)
	return session.VerdictOf(outcome.Mark, outcome.Err)
}

func control(o *session.Outbox) session.Control {
	c, _ := o.Next()
	return c
}

func TestVerify(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Fused: true, Ordered: true}, func(graph.Deps) graphtest.Subject[session.Op, session.Op] {
		from := attach(0)
		next := uint64(1)
		return graphtest.Subject[session.Op, session.Op]{
			Stage: &stage{},
			Batch: func(t *rapid.T) []session.Op {
				first := max(1, next+uint64(rapid.IntRange(0, 4).Draw(t, "jump"))-2)
				count := rapid.IntRange(1, 6).Draw(t, "count")
				next = max(next, first+uint64(count))
				return frame(from, first, count)
			},
		}
	})
}

func TestWhatIsNewPassesAsItCame(t *testing.T) {
	from := attach(0)
	in, _ := graphtest.NewBatch(frame(from, 1, 3)...)
	port := graphtest.NewPort[session.Op](1)
	require.NoError(t, (&stage{}).Process(t.Context(), in, port))
	require.Len(t, port.Sent(), 1)
	require.Len(t, port.Items(), 3)
	assert.True(t, port.Items()[2].EndOfFrame)

	from.Outbox.Again()
	assert.Equal(t, uint64(3), control(from.Outbox).Ack.Accepted)
}

// meanwhile is a port on whose way another goroutine does something.
type meanwhile struct {
	graph.Port[session.Op]
	do func()
}

func (m meanwhile) Send(ctx context.Context, b *graph.Batch[session.Op]) error {
	err := m.Port.Send(ctx, b)
	m.do()
	return err
}

// What was refused by the time it has been passed on is not called accepted.
func TestWhatIsTakenBackMeanwhileIsNotAccepted(t *testing.T) {
	from := attach(0)
	in, _ := graphtest.NewBatch(frame(from, 1, 3)...)
	port := meanwhile{Port: graphtest.NewPort[session.Op](1), do: func() { from.Window.StepBack(2) }}
	require.NoError(t, (&stage{}).Process(t.Context(), in, port))
	from.Outbox.Again()
	assert.Equal(t, uint64(1), control(from.Outbox).Ack.Accepted)
}

func TestDuplicatesAreAckedAgain(t *testing.T) {
	from := attach(5)
	outcomes, passed, err := send(t, graphtest.NewPort[session.Op](1), frame(from, 4, 2))
	require.NoError(t, err)
	assert.Empty(t, passed)
	for i := range 2 {
		got, _ := verdict(outcomes, i)
		assert.Equal(t, session.Duplicate, got)
	}
	assert.Equal(t, &session.Ack{Accepted: 5, Committed: 5}, control(from.Outbox).Ack)
}

func TestAKnownPrefixIsTrimmed(t *testing.T) {
	from := attach(5)
	outcomes, passed, err := send(t, graphtest.NewPort[session.Op](1), frame(from, 4, 5))
	require.NoError(t, err)
	assert.Equal(t, []uint64{6, 7, 8}, passed)
	got, _ := verdict(outcomes, 1)
	assert.Equal(t, session.Duplicate, got)
	got, _ = verdict(outcomes, 2)
	assert.Equal(t, session.Accepted, got)
}

func TestAGapIsNackedOnceAndDiscarded(t *testing.T) {
	from := attach(5)
	port := graphtest.NewPort[session.Op](1)
	for range 2 {
		outcomes, passed, err := send(t, port, frame(from, 8, 2))
		require.NoError(t, err)
		assert.Empty(t, passed)
		for i := range 2 {
			got, refusal := verdict(outcomes, i)
			assert.Equal(t, session.Nacked, got)
			assert.Equal(t, session.NackSequenceGap, refusal.Nack)
			assert.Equal(t, uint64(6), refusal.Expected)
		}
	}
	want := session.Nack{Expected: 6, Reason: session.NackSequenceGap, Message: "number 8 came, but 6 comes next; send again from there"}
	assert.Equal(t, want, *control(from.Outbox).Nack)
	assert.Equal(t, session.Control{}, control(from.Outbox))

	_, passed, _ := send(t, port, frame(from, 6, 4))
	assert.Equal(t, []uint64{6, 7, 8, 9}, passed)
}

func TestAFencedAttachmentIsSuperseded(t *testing.T) {
	from := attach(0)
	from.Fence()
	outcomes, passed, err := send(t, graphtest.NewPort[session.Op](1), frame(from, 1, 2))
	require.NoError(t, err)
	assert.Empty(t, passed)
	got, _ := verdict(outcomes, 1)
	assert.Equal(t, session.Superseded, got)
	assert.Equal(t, uint64(1), from.Window.Expected(), "it takes no number")
	assert.Equal(t, session.Control{}, control(from.Outbox), "and is told nothing: the newer stream serves its client")
}

func TestARefusalGivesTheNumbersBack(t *testing.T) {
	from := attach(5)
	refusal := &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackResourceExhausted, Retry: time.Second, Fill: 0.95, Cause: errors.New("full"),
	}
	port := graphtest.NewPort[session.Op](1)
	port.OnSend = func(int, *graph.Batch[session.Op]) error { return refusal }
	outcomes, _, err := send(t, port, frame(from, 4, 5))
	require.ErrorIs(t, err, refusal)
	got, _ := verdict(outcomes, 1)
	assert.Equal(t, session.Duplicate, got, "what was known stays known")
	got, _ = verdict(outcomes, 2)
	assert.Equal(t, session.Nacked, got)
	assert.Equal(t, uint64(6), from.Window.Expected())
	assert.NotNil(t, control(from.Outbox).Ack)
	assert.Equal(t, session.Nack{
		Expected: 6, Reason: session.NackResourceExhausted, Retry: time.Second, Fill: 0.95, Message: "full",
	}, *control(from.Outbox).Nack)
	assert.Zero(t, refusal.Expected, "the refusal itself is shared, and left alone")

	port.OnSend = nil
	outcomes, _, _ = send(t, port, frame(from, 9, 3))
	got, gap := verdict(outcomes, 0)
	assert.Equal(t, session.Nacked, got, "after a nack at 6 nothing above is taken")
	assert.Equal(t, session.NackSequenceGap, gap.Nack)
	assert.Equal(t, session.Control{}, control(from.Outbox), "and the client has been told")
	_, passed, _ := send(t, port, frame(from, 6, 6))
	assert.Equal(t, []uint64{6, 7, 8, 9, 10, 11}, passed)
}

func TestAnotherFailureGivesTheNumbersBackWithoutANack(t *testing.T) {
	from := attach(0)
	port := graphtest.NewPort[session.Op](1)
	port.OnSend = func(int, *graph.Batch[session.Op]) error { return graph.ErrDraining }
	outcomes, _, err := send(t, port, frame(from, 1, 2))
	require.ErrorIs(t, err, graph.ErrDraining)
	got, _ := verdict(outcomes, 0)
	assert.Equal(t, session.Aborted, got)
	assert.Equal(t, uint64(1), from.Window.Expected())
	assert.Equal(t, session.Control{}, control(from.Outbox))
}

func TestABatchOfSeveralAttachments(t *testing.T) {
	a, b, fenced := attach(0), attach(10), attach(0)
	fenced.Fence()
	ops := frame(a, 1, 2)
	ops = append(ops, frame(b, 10, 3)...)
	ops = append(ops, frame(fenced, 1, 1)...)
	ops = append(ops, frame(a, 5, 1)...)
	outcomes, passed, err := send(t, graphtest.NewPort[session.Op](1), ops)
	require.NoError(t, err)
	assert.Equal(t, []uint64{1, 2, 11, 12}, passed)
	var got []session.Verdict
	for i := range ops {
		v, _ := verdict(outcomes, i)
		got = append(got, v)
	}
	assert.Equal(t, []session.Verdict{
		session.Accepted, session.Accepted, session.Duplicate, session.Accepted, session.Accepted, session.Superseded, session.Nacked,
	}, got)
}

// TestHistory: any interleaving of frames, duplicates, gaps, refusals, storage failures and a fence. What passes for
// good holds each number once, in order, without holes; each op has one verdict; and whenever the stage waits for a
// number, it is the one that the client was told last.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		committed := rapid.Uint64Range(0, 9).Draw(t, "committed")
		from := attach(committed)
		taken := committed // by what follows the stage
		var refuse error
		var told uint64 // the number that the last nack asked for
		aborted := false
		port := graphtest.NewPort[session.Op](1)
		port.OnSend = func(_ int, b *graph.Batch[session.Op]) error {
			for _, op := range b.Items {
				require.Equal(t, taken+1, op.Sequence, "the next number, and no other")
				if refuse == nil {
					taken++
				} else if op.Sequence == taken+1 {
					return refuse
				}
			}
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"frame": func(t *rapid.T) {
				refuse = rapid.SampledFrom([]error{nil, nil, nil, graph.ErrDraining, &session.Refusal{Verdict: session.Nacked, Nack: session.NackResourceExhausted}}).Draw(t, "refuse")
				first := rapid.Uint64Range(max(taken, 4)-3, taken+4).Draw(t, "first")
				count := rapid.IntRange(1, 9).Draw(t, "count")
				before := taken
				outcomes, _, err := send(t, port, frame(from, first, count))
				aborted = aborted || errors.Is(err, graph.ErrDraining) // its transport ends the stream
				for i := range count {
					got, _ := verdict(outcomes, i)
					require.Equal(t, expect(from, first, uint64(i), before, refuse), got, "of %d after %d", first+uint64(i), before)
				}
			},
			"storage fails": func(t *rapid.T) {
				taken = rapid.Uint64Range(committed, taken).Draw(t, "durable")
				from.Nack(session.Nack{Expected: from.Window.StepBack(taken + 1), Reason: session.NackStorageUnavailable})
			},
			"commit": func(t *rapid.T) {
				committed = rapid.Uint64Range(committed, taken).Draw(t, "through")
				from.Outbox.Reply(session.Reply{From: from, Through: committed})
			},
			"fence": func(t *rapid.T) {
				if rapid.IntRange(0, 19).Draw(t, "die") == 0 {
					from.Fence()
				}
			},
			"": func(t *rapid.T) {
				for c, ok := from.Outbox.Next(); ok; c, ok = from.Outbox.Next() {
					if c.Nack != nil {
						told = c.Nack.Expected
					}
				}
				next, waiting := from.Window.Waiting()
				require.Equal(t, taken+1, next)
				require.True(t, !waiting || aborted || told == next, "waits for %d, the client was told %d", next, told)
			},
		})
	})
}

// expect says which verdict an op gets, when everything before it was taken up to taken.
func expect(from *session.Attachment, first, i, taken uint64, refuse error) session.Verdict {
	switch {
	case from.Fenced():
		return session.Superseded
	case first > taken+1:
		return session.Nacked
	case first+i <= taken:
		return session.Duplicate
	case errors.Is(refuse, graph.ErrDraining):
		return session.Aborted
	case refuse != nil:
		return session.Nacked
	}
	return session.Accepted
}
