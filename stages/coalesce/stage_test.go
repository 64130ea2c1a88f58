package coalesce

import (
	"context"
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

var config = Config{Above: 0.5, Items: [2]int{10, 100}, MaxWait: 5 * time.Millisecond}

var from = &session.Attachment{Space: "faces"}

func ops(first uint64, count int) []session.Op {
	out := make([]session.Op, count)
	for i := range out {
		out[i] = session.Op{From: from, Op: memory.Op{Sequence: first + uint64(i)}}
	}
	return out
}

// bench is a stage with a port, and a budget of 1000 items of 8 bytes that a test fills.
type bench struct {
	t      *testing.T
	stage  *stage
	port   *graphtest.Port[session.Op]
	budget *graph.Budget
	next   uint64
}

func newBench(t *testing.T) *bench {
	budget := graph.NewBudget(graph.Window{Items: 1000, Bytes: 8000})
	return &bench{t: t, stage: newStage(config, budget), port: graphtest.NewPort[session.Op](1), budget: budget, next: 1}
}

// fill takes a part of the budget, as what is on its way further on does.
func (b *bench) fill(items int) {
	in, _ := graphtest.NewBatch(ops(1, items)...)
	require.True(b.t, in.TryCharge(b.budget))
}

func (b *bench) come(count int) {
	in, _ := graphtest.NewBatch(ops(b.next, count)...)
	b.next += uint64(count)
	require.NoError(b.t, b.stage.Process(b.t.Context(), in, b.port))
}

func (b *bench) flush(why graph.FlushReason) time.Duration {
	wait, err := b.stage.Flush(b.t.Context(), why, b.port)
	require.NoError(b.t, err)
	return wait
}

// sizes returns the sizes of the batches sent so far.
func (b *bench) sizes() []int {
	var out []int
	for _, s := range b.port.Sent() {
		out = append(out, s.Batch.Len())
	}
	return out
}

func TestVerify(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{}, func(d graph.Deps) graphtest.Subject[session.Op, session.Op] {
		next, last := uint64(1), uint64(0)
		return graphtest.Subject[session.Op, session.Op]{
			Stage: newStage(Config{Above: 0, Items: [2]int{4, 9}, MaxWait: time.Millisecond}, d.Budget),
			Batch: func(t *rapid.T) []session.Op {
				batch := ops(next, rapid.IntRange(1, 30).Draw(t, "count"))
				next += uint64(len(batch))
				return batch
			},
			Sent: func(_ int, b *graph.Batch[session.Op]) {
				for _, op := range b.Items {
					require.Greater(t, op.Sequence, last, "never reorders")
					last = op.Sequence
				}
			},
		}
	})
}

func TestASingleItemGoesAtOnceWhenIdle(t *testing.T) {
	b := newBench(t)
	b.come(1)
	assert.Zero(t, b.flush(graph.FlushStarved))
	assert.Equal(t, []int{1}, b.sizes())
}

func TestWhatIsQueuedIsGathered(t *testing.T) {
	b := newBench(t)
	for range 60 {
		b.come(3)
	}
	assert.Equal(t, []int{100}, b.sizes(), "up to the most")
	b.flush(graph.FlushStarved)
	assert.Equal(t, []int{100, 80}, b.sizes(), "the rest when nothing more is queued")
}

func TestUnderPressureItWaitsForABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fill(500)
		b.come(4)
		assert.Equal(t, 5*time.Millisecond, b.flush(graph.FlushStarved))
		time.Sleep(2 * time.Millisecond)
		b.come(5)
		assert.Equal(t, 3*time.Millisecond, b.flush(graph.FlushStarved), "counted from the oldest")
		assert.Empty(t, b.sizes())
		b.come(1)
		assert.Zero(t, b.flush(graph.FlushStarved), "ten are worth sending")
		assert.Equal(t, []int{10}, b.sizes())
	})
}

func TestUnderPressureNothingWaitsLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fill(500)
		b.come(4)
		time.Sleep(b.flush(graph.FlushStarved))
		assert.Zero(t, b.flush(graph.FlushTimer))
		assert.Equal(t, []int{4}, b.sizes())

		b.come(4)
		assert.Equal(t, 5*time.Millisecond, b.flush(graph.FlushStarved), "the next wait is its own")
	})
}

func TestTheDrainLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.fill(900)
	b.come(4)
	b.flush(graph.FlushStarved)
	assert.Zero(t, b.flush(graph.FlushDrain))
	assert.Equal(t, []int{4}, b.sizes())
	assert.Zero(t, b.flush(graph.FlushDrain))
}

func TestALargeBatchIsCutToTheMost(t *testing.T) {
	b := newBench(t)
	b.come(30)
	b.come(230)
	assert.Equal(t, []int{100, 100}, b.sizes())
	b.flush(graph.FlushStarved)
	assert.Equal(t, []int{100, 100, 60}, b.sizes())
	for i, op := range b.port.Items() {
		require.Equal(t, uint64(i+1), op.Sequence)
	}
}

func TestBytesAreBoundedToo(t *testing.T) {
	b := newBench(t) // an eighth of the budget: 1000 bytes
	come := func(weight int32) {
		in, _ := graphtest.NewWeighed(ops(b.next, 1), func(session.Op) int32 { return weight })
		b.next++
		require.NoError(t, b.stage.Process(t.Context(), in, b.port))
	}
	for _, weight := range []int32{480, 480, 480, 4000, 40} {
		come(weight)
		require.Less(t, b.stage.lane(t.Context()).bytes, int64(1000))
	}
	assert.Equal(t, []int{2, 1, 1}, b.sizes(), "two of 480, one of 480, one of 4000")
	assert.Equal(t, int64(40), b.stage.lane(t.Context()).bytes)
}

func TestAFailedSendLosesNothingThatComesLater(t *testing.T) {
	b := newBench(t)
	fail := true
	b.port.OnSend = func(int, *graph.Batch[session.Op]) error {
		if fail {
			return graphtest.ErrPort
		}
		return nil
	}
	in, outcomes := graphtest.NewBatch(ops(1, 100)...)
	require.ErrorIs(t, b.stage.Process(t.Context(), in, b.port), graphtest.ErrPort)
	assert.Equal(t, 100, outcomes.Settled())
	fail = false
	b.come(100)
	assert.Equal(t, []int{100}, b.sizes())
}

func TestConfigIsChecked(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	defaults := *r.Lookup(graph.RoleStage, "coalesce").NewConfig().(*Config)
	assert.Equal(t, Config{Above: 0.5, Items: [2]int{100, 1000}, MaxWait: 5 * time.Millisecond}, defaults)
	cases := map[string]struct {
		config Config
		want   []string
	}{
		"defaults":     {defaults, nil},
		"no waiting":   {Config{1, [2]int{1, 1}, 0}, nil},
		"above":        {Config{1.1, [2]int{1, 1}, 0}, []string{"above"}},
		"not a number": {Config{math.NaN(), [2]int{1, 1}, 0}, []string{"above"}},
		"none":         {Config{0, [2]int{0, 1}, 0}, []string{"items[0]"}},
		"too many":     {Config{0, [2]int{1, 100_001}, 0}, []string{"items[1]"}},
		"crossed":      {Config{0, [2]int{2, 1}, 0}, []string{"items"}},
		"back in time": {Config{0, [2]int{1, 2}, -1}, []string{"max_wait"}},
		"too long":     {Config{0, [2]int{1, 2}, 2 * time.Second}, []string{"max_wait"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var fields []string
			c.config.Check(func(field, _, _ string) { fields = append(fields, field) })
			assert.Equal(t, c.want, fields)
		})
	}
}

// TestInAnEngine has items trickle in under pressure, through real edges and timers: none waits longer than max_wait
// and none is lost, in any grouping.
func TestInAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &arrivals{}
		r := graph.NewRegistry()
		Register(r)
		graph.RegisterSource(r, "source", graph.Doc{}, struct{}{}, func(_ struct{}, _ graph.Deps, in graph.Inlet[session.Op]) (any, error) { return in, nil })
		graph.Register(r, "charge", graph.Doc{Traits: graph.Traits{Fused: true, Charges: true}}, struct{}{},
			func(_ struct{}, d graph.Deps) (graph.Stage[session.Op, session.Op], error) {
				return charge{d.Budget}, nil
			})
		graph.RegisterSink(r, "sink", graph.Doc{Traits: graph.Traits{Fused: true}}, struct{}{}, func(struct{}, graph.Deps) (graph.Sink[session.Op], error) { return sink, nil })
		spec := &graph.Spec{Budget: graph.Window{Items: 1000, Bytes: 1000}, Nodes: []graph.NodeSpec{
			{Name: "source", Role: graph.RoleSource, Kind: "source", Offers: graph.Window{Items: 50, Bytes: 50}},
			{Name: "charge", Role: graph.RoleStage, Kind: "charge", From: []graph.FromSpec{{Name: "source"}}},
			{Name: "coalesce", Role: graph.RoleStage, Kind: "coalesce", From: []graph.FromSpec{{Name: "charge"}}, Config: &Config{Above: 0, Items: config.Items, MaxWait: config.MaxWait}},
			{Name: "sink", Role: graph.RoleSink, Kind: "sink", From: []graph.FromSpec{{Name: "coalesce"}}},
		}}
		engine, found := spec.Build(r, graph.Options{})
		require.Empty(t, found)
		require.NoError(t, engine.Start(t.Context()))
		inlet := engine.Endpoints()["source"].(graph.Inlet[session.Op])
		for n := range uint64(40) {
			item := ops(n+1, 1)
			item[0].Observe = &memory.Observation{ReceivedAt: time.Now()}
			o := graphtest.OfferOf(item, func(session.Op) int32 { return 1 }, graphtest.NewOutcomes())
			require.NoError(t, inlet.Offer(t.Context(), o))
			time.Sleep(700 * time.Microsecond)
		}
		_, err := engine.Drain(context.Background())
		require.NoError(t, err)
		require.Len(t, sink.waits, 40)
		for i, wait := range sink.waits {
			assert.LessOrEqual(t, wait, config.MaxWait, "item %d", i)
		}
		assert.Less(t, sink.batches, 12, "eight fit the wait")
	})
}

type charge struct{ budget *graph.Budget }

func (c charge) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	in.TryCharge(c.budget)
	return out.Send(ctx, in)
}

// arrivals is a sink that measures how long each item took. Read it after the drain.
type arrivals struct {
	waits   []time.Duration
	batches int
}

func (a *arrivals) Deliver(_ context.Context, in *graph.Batch[session.Op]) error {
	a.batches++
	for _, op := range in.Items {
		a.waits = append(a.waits, time.Since(op.Observe.ReceivedAt))
	}
	return nil
}
