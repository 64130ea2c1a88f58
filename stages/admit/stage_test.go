package admit

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

var defaults = Config{SlowDownAt: 0.8, RejectAt: 0.9}

func ops(first uint64, count int) []session.Op {
	from := &session.Attachment{Space: "faces"}
	out := make([]session.Op, count)
	for i := range out {
		out[i] = session.Op{From: from, Op: memory.Op{Sequence: first + uint64(i)}}
	}
	return out
}

func withBudget(items int, bytes int64) (*stage, *graph.Budget) {
	budget := graph.NewBudget(graph.Window{Items: items, Bytes: bytes})
	return newStage(defaults, graph.Deps{Name: "gate", Budget: budget}), budget
}

// offer puts a batch of one-byte ops through; what passes stays in the port.
func offer(t *testing.T, s *stage, port *graphtest.Port[session.Op], first uint64, count int) (*session.Refusal, *graphtest.Outcomes) {
	t.Helper()
	in, outcomes := graphtest.NewBatch(ops(first, count)...)
	err := s.Process(t.Context(), in, port)
	if err != nil {
		in.RejectLive(err)
	}
	refusal, _ := errors.AsType[*session.Refusal](err)
	return refusal, outcomes
}

// pass is offer for what must pass.
func pass(t *testing.T, s *stage, port *graphtest.Port[session.Op], first uint64, count int) {
	t.Helper()
	refusal, _ := offer(t, s, port, first, count)
	require.Nil(t, refusal)
}

func TestVerify(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Fused: true, Charges: true}, func(d graph.Deps) graphtest.Subject[session.Op, session.Op] {
		d.Budget = graph.NewBudget(graph.Window{Items: 8, Bytes: 8})
		return graphtest.Subject[session.Op, session.Op]{
			Stage: newStage(defaults, d),
			Batch: func(t *rapid.T) []session.Op { return ops(1, rapid.IntRange(1, 12).Draw(t, "count")) },
		}
	})
}

func TestWhatPassesIsChargedUntilItIsSettled(t *testing.T) {
	s, budget := withBudget(100, 1000)
	port := graphtest.NewPort[session.Op](1)
	pass(t, s, port, 1, 40)
	assert.Equal(t, graph.Window{Items: 40, Bytes: 40}, budget.Used())
	port.DeliverAll()
	assert.Zero(t, budget.Used())
}

func TestAboveRejectAtEverythingIsRefusedUntilATenthLower(t *testing.T) {
	s, budget := withBudget(100, 1000)
	port := graphtest.NewPort[session.Op](1)
	pass(t, s, port, 1, 89)
	refusal, _ := offer(t, s, port, 90, 2)
	require.Nil(t, refusal, "at 0.89 there is room")

	refusal, outcomes := offer(t, s, port, 92, 1)
	require.NotNil(t, refusal, "at 0.91 there is none, though it would fit")
	assert.Equal(t, session.Nacked, refusal.Verdict)
	assert.Equal(t, session.NackResourceExhausted, refusal.Nack)
	assert.Equal(t, uint64(92), refusal.Expected)
	assert.InDelta(t, 0.91, refusal.Fill, 1e-9)
	assert.InDelta(t, float64(unknownRetry), float64(refusal.Retry), 0.2*float64(unknownRetry))
	assert.Equal(t, "the server's queue is full", refusal.Error())
	verdict, _ := session.VerdictOf(0, outcomes.Err(0))
	assert.Equal(t, session.Nacked, verdict)
	assert.Equal(t, 91, budget.Used().Items)

	settle(port, 10)
	refusal, _ = offer(t, s, port, 92, 1)
	assert.NotNil(t, refusal, "at 0.81 it is still refused")
	settle(port, 2)
	refusal, _ = offer(t, s, port, 92, 1)
	assert.Nil(t, refusal, "at 0.79 no more")
}

// settle delivers n of the ops that wait in the port's first batch.
func settle(port *graphtest.Port[session.Op], n int) {
	first := port.Sent()[0].Batch
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = first.Len() - first.Live() + i
	}
	graph.Take(first, indexes).DeliverLive()
}

func TestABatchPassesWholeOrNotAtAll(t *testing.T) {
	s, budget := withBudget(100, 50)
	port := graphtest.NewPort[session.Op](1)
	refusal, outcomes := offer(t, s, port, 1, 51)
	require.NotNil(t, refusal, "items would fit, bytes do not")
	assert.Equal(t, 51, outcomes.Settled())
	assert.Zero(t, budget.Used())
	assert.Empty(t, port.Sent())
	assert.Equal(t, "a batch of 51 items, 51B never fits the budget of 100 items, 50B; send smaller batches", refusal.Error())
}

func TestAFullEdgeRefuses(t *testing.T) {
	s, budget := withBudget(100, 1000)
	port := graphtest.NewPort[session.Op](1)
	port.OnSend = func(int, *graph.Batch[session.Op]) error { return graph.ErrNoCredit }
	refusal, _ := offer(t, s, port, 5, 10)
	require.NotNil(t, refusal)
	assert.Equal(t, uint64(5), refusal.Expected)
	assert.Zero(t, budget.Used(), "and charges nothing")
}

func TestPressure(t *testing.T) {
	s, _ := withBudget(100, 1000)
	port := graphtest.NewPort[session.Op](1)
	pass(t, s, port, 1, 79)
	assert.Equal(t, session.Pressure{
		State: session.CreditOK, Fill: 0.79, Items: 79, ItemLimit: 100, Bytes: 79, ByteLimit: 1000,
	}, s.Pressure())

	pass(t, s, port, 80, 1)
	p := s.Pressure()
	assert.Equal(t, session.CreditSlowDown, p.State)
	assert.Equal(t, "gate", p.Stage)
	assert.Positive(t, p.Retry)

	pass(t, s, port, 81, 15)
	assert.Equal(t, session.CreditBufferFull, s.Pressure().State)
	port.DeliverAll()
	assert.Equal(t, session.CreditOK, s.Pressure().State, "though nothing came that would have noticed")
}

func TestItsAdmissionIsExported(t *testing.T) {
	s, _ := withBudget(1, 1)
	require.Len(t, s.Exports(), 1)
	_, ok := s.Exports()[0].(Admission)
	assert.True(t, ok)
}

func TestConfigIsChecked(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	assert.Equal(t, &defaults, r.Lookup(graph.RoleStage, "admit").NewConfig())
	cases := map[string]struct {
		config Config
		want   []string
	}{
		"defaults":      {defaults, nil},
		"the widest":    {Config{0.11, 1}, nil},
		"equal":         {Config{0.8, 0.8}, []string{"slow_down_at"}},
		"crossed":       {Config{0.9, 0.8}, []string{"slow_down_at"}},
		"too low":       {Config{0.1, 0.9}, []string{"slow_down_at"}},
		"too high":      {Config{0.8, 1.1}, []string{"reject_at"}},
		"not a number":  {Config{math.NaN(), math.NaN()}, []string{"slow_down_at", "reject_at"}},
		"not filled in": {Config{}, []string{"slow_down_at", "reject_at"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var fields []string
			c.config.Check(func(field, _, _ string) { fields = append(fields, field) })
			assert.Equal(t, c.want, fields)
		})
	}
}

// TestDrainRateComesFromTheBudget lets 500 items a second through for a second, then none for a minute.
func TestDrainRateComesFromTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := withBudget(100, 1000)
		port := graphtest.NewPort[session.Op](1)
		next := uint64(1)
		pass(t, s, port, next, 50)
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			next += 50
			pass(t, s, port, next, 5)
			graph.Take(port.Sent()[len(port.Sent())-1].Batch, []int{0, 1, 2, 3, 4}).DeliverLive()
		}
		assert.InEpsilon(t, 500, s.Pressure().DrainPerSecond, 0.1)
		time.Sleep(time.Minute)
		assert.Less(t, s.Pressure().DrainPerSecond, 1.0)
	})
}
