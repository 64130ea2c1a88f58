package graphtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
)

// none is the config of the kit's kinds.
type none struct{}

// verifyEngine runs the stage between a source and a sink of the kit: from several goroutines if it is Fused, with
// several workers if it is Parallel.
func verifyEngine[In, Out any](t *rapid.T, traits graph.Traits, fresh func(d graph.Deps) Subject[In, Out]) {
	var subject Subject[In, Out]
	bed := testbed[In, Out]{traits: traits}
	engine, found := bed.spec().Build(bed.registry(func(d graph.Deps) Subject[In, Out] {
		subject = fresh(graph.Deps{Name: d.Name, Budget: d.Budget, Logger: d.Logger})
		bed.sent = subject.Sent
		return subject
	}), graph.Options{Hooks: &bed.panics})
	require.Empty(t, found)
	require.NoError(t, engine.Start(context.Background()))

	queue := draw(t, subject)
	records := offerAll(engine.Endpoints()["offers"].(graph.Inlet[In]), queue, &subject, bed.offerers())
	residue, err := engine.Drain(context.Background())
	require.NoError(t, err)
	require.Empty(t, residue.Left)
	require.Empty(t, bed.panics.said)
	for i, o := range records {
		require.Empty(t, o.Faults())
		require.Equal(t, len(queue[i]), o.Settled(), "items settled of batch %d", i)
		for j := range queue[i] {
			require.NotErrorIs(t, o.Err(j), graph.ErrLost)
		}
	}
	stats := engine.Stats()
	require.Zero(t, stats.Budget, "budget in use after the drain")
	for _, e := range stats.Edges {
		require.Zero(t, e.Depth, "queued into %q after the drain", e.To)
	}
}

func draw[In, Out any](t *rapid.T, s Subject[In, Out]) [][]In {
	var out [][]In
	for range rapid.IntRange(1, maxBatches).Draw(t, "batches") {
		out = append(out, s.Batch(t))
	}
	return out
}

// offerAll offers batch i from goroutine i%n and returns the records in the order of the batches.
func offerAll[In, Out any](in graph.Inlet[In], queue [][]In, s *Subject[In, Out], n int) []*Outcomes {
	records := make([]*Outcomes, len(queue))
	var offering conc.WaitGroup
	for g := range n {
		offering.Go(func() {
			for i := g; i < len(queue); i += n {
				records[i] = NewOutcomes()
				_ = in.Offer(context.Background(), OfferOf(queue[i], s.weigh, records[i])) // the records tell
			}
		})
	}
	offering.Wait()
	return records
}

// testbed is a pipeline around the stage under test.
type testbed[In, Out any] struct {
	traits graph.Traits
	sent   func(lane int, b *graph.Batch[Out]) // set when the subject is built; may be nil
	panics panicHook

	delivering sync.Mutex // held while sent is called
}

func (p *testbed[In, Out]) offerers() int {
	if p.traits.Fused || p.traits.Parallel {
		return offerers
	}
	return 1
}

func (p *testbed[In, Out]) spec() *graph.Spec {
	s := &graph.Spec{Budget: graph.Window{Items: kitItems, Bytes: kitBytes}, Nodes: []graph.NodeSpec{
		{Name: "offers", Role: graph.RoleSource, Kind: "offers"},
		{Name: "charge", Role: graph.RoleStage, Kind: "charge", From: []graph.FromSpec{{Name: "offers"}}},
		{Name: "subject", Role: graph.RoleStage, Kind: "subject", From: []graph.FromSpec{{Name: "charge"}}},
		// Behind an edge, what is sent is not settled yet when Send returns.
		{
			Name: "delivers", Role: graph.RoleSink, Kind: "delivers", From: []graph.FromSpec{{Name: "subject"}},
			Edge: &graph.EdgeSpec{Window: graph.Window{Items: kitItems, Bytes: kitBytes}},
		},
	}}
	if p.traits.Parallel {
		s.Nodes[2].Workers = offerers
	}
	if p.traits.Charges {
		s.Nodes = append(s.Nodes[:1], s.Nodes[2:]...)
		s.Nodes[1].From[0].Name = "offers"
	}
	return s
}

func (p *testbed[In, Out]) registry(fresh func(d graph.Deps) Subject[In, Out]) *graph.Registry {
	r := graph.NewRegistry()
	graph.RegisterSource(r, "offers", graph.Doc{}, none{}, func(_ none, _ graph.Deps, in graph.Inlet[In]) (any, error) { return in, nil })
	graph.Register(r, "charge", graph.Doc{Traits: graph.Traits{Fused: true, Charges: true}}, none{}, func(_ none, d graph.Deps) (graph.Stage[In, In], error) {
		return charge[In]{d.Budget}, nil
	})
	graph.Register(r, "subject", graph.Doc{Traits: p.traits}, none{}, func(_ none, d graph.Deps) (graph.Stage[In, Out], error) {
		return fresh(d).Stage, nil
	})
	graph.RegisterSink(r, "delivers", graph.Doc{}, none{}, func(none, graph.Deps) (graph.Sink[Out], error) { return p, nil })
	return r
}

// Deliver implements graph.Sink.
func (p *testbed[In, Out]) Deliver(ctx context.Context, in *graph.Batch[Out]) error {
	p.delivering.Lock()
	defer p.delivering.Unlock()
	if p.sent != nil {
		p.sent(graph.LaneOf(ctx), in)
	}
	return nil
}

// panicHook notes the panics that the engine turns into errors.
type panicHook struct {
	mu   sync.Mutex
	said []string // guarded by mu; read after the drain
}

// Begin implements graph.Hooks.
func (*panicHook) Begin(ctx context.Context, _ graph.Call) context.Context { return ctx }

// End implements graph.Hooks.
func (h *panicHook) End(_ context.Context, _ graph.Call, r graph.CallResult) {
	if !errors.Is(r.Err, graph.ErrPanicked) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, r.Err.Error())
}

// Enqueue implements graph.Hooks.
func (*panicHook) Enqueue(string, int, graph.Window) {}

// Dequeue implements graph.Hooks.
func (*panicHook) Dequeue(string, int, graph.Window, time.Duration) {}

// charge takes the budget for everything.
type charge[T any] struct{ budget *graph.Budget }

func (c charge[T]) Process(ctx context.Context, in *graph.Batch[T], out graph.Port[T]) error {
	if !in.TryCharge(c.budget) {
		return graph.ErrNoCredit
	}
	return out.Send(ctx, in)
}
