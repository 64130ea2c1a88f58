package graph_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// word is the item of the test graphs: number n of the stream key.
type word struct{ key, n int }

// none is the config of kinds without settings.
type none struct{}

// each is a stage that runs a function on each batch.
type each[In, Out any] func(ctx context.Context, in *graph.Batch[In], out graph.Port[Out]) error

func (f each[In, Out]) Process(ctx context.Context, in *graph.Batch[In], out graph.Port[Out]) error {
	return f(ctx, in, out)
}

// pass sends every batch on as it is.
func pass(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	return out.Send(ctx, in)
}

// charge takes the budget for a batch or refuses it.
func charge(b *graph.Budget) each[word, word] {
	return func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
		if !in.TryCharge(b) {
			return graph.ErrNoCredit
		}
		return out.Send(ctx, in)
	}
}

// end is a sink that runs a function on each batch.
type end func(ctx context.Context, in *graph.Batch[word]) error

func (f end) Deliver(ctx context.Context, in *graph.Batch[word]) error { return f(ctx, in) }

func discard(context.Context, *graph.Batch[word]) error { return nil }

// toys is a registry with a source "in" (its endpoint is its inlet), a charging stage "charge", and a sink "out".
func toys(sink end) *graph.Registry {
	r := graph.NewRegistry()
	graph.RegisterSource(r, "in", graph.Doc{}, none{}, func(_ none, _ graph.Deps, in graph.Inlet[word]) (any, error) { return in, nil })
	addStage(r, "charge", graph.Traits{Fused: true, Charges: true}, func(d graph.Deps) graph.Stage[word, word] { return charge(d.Budget) })
	graph.RegisterSink(r, "out", graph.Doc{}, none{}, func(none, graph.Deps) (graph.Sink[word], error) { return sink, nil })
	return r
}

func addStage(r *graph.Registry, kind string, traits graph.Traits, build func(graph.Deps) graph.Stage[word, word]) {
	graph.Register(r, kind, graph.Doc{Traits: traits}, none{}, func(_ none, d graph.Deps) (graph.Stage[word, word], error) { return build(d), nil })
}

// line is a spec of "in", the stages in order, and "out"; kinds are their names.
func line(stages ...string) *graph.Spec {
	s := &graph.Spec{Budget: graph.Window{Items: 1000, Bytes: 1 << 20}}
	s.Nodes = append(s.Nodes, graph.NodeSpec{Name: "in", Role: graph.RoleSource, Kind: "in", Offers: graph.Window{Items: 100, Bytes: 1 << 10}})
	last := "in"
	for _, name := range stages {
		s.Nodes = append(s.Nodes, graph.NodeSpec{Name: name, Role: graph.RoleStage, Kind: name, From: []graph.FromSpec{{Name: last}}})
		last = name
	}
	s.Nodes = append(s.Nodes, graph.NodeSpec{Name: "out", Role: graph.RoleSink, Kind: "out", From: []graph.FromSpec{{Name: last}}})
	return s
}

// at returns the spec of a node, to change it.
func at(s *graph.Spec, name string) *graph.NodeSpec {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	panic("no node " + name)
}

func start(t testing.TB, s *graph.Spec, r *graph.Registry, opts graph.Options) *graph.Engine {
	t.Helper()
	e, found := s.Build(r, opts)
	require.Empty(t, found)
	require.NoError(t, e.Start(t.Context()))
	return e
}

func drain(t testing.TB, e *graph.Engine) {
	t.Helper()
	residue, err := e.Drain(context.Background())
	require.NoError(t, err)
	require.Empty(t, residue.Left)
	stats := e.Stats()
	require.Zero(t, stats.Budget, "budget is full again")
	require.Zero(t, stats.Offers)
	for _, edge := range stats.Edges {
		require.Zero(t, edge.Depth, "window of %q is full again", edge.To)
	}
}

func inlet(e *graph.Engine) graph.Inlet[word] { return e.Endpoints()["in"].(graph.Inlet[word]) }

// offer offers numbers 0 to n-1 of a key at once.
func offer(e *graph.Engine, key, n int) (*graphtest.Outcomes, error) {
	items := make([]word, n)
	for i := range items {
		items[i] = word{key, i}
	}
	o := graphtest.NewOutcomes()
	err := inlet(e).Offer(context.Background(), graphtest.OfferOf(items, func(word) int32 { return 1 }, o))
	return o, err
}

// holder holds up to cap items and flushes after wait; wait 0: as soon as it starves.
type holder struct {
	cap  int
	wait time.Duration
	held []*graph.Batch[word]
	size int
}

func (h *holder) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	if h.size+in.Live() > h.cap {
		if err := h.send(ctx, out); err != nil {
			return err
		}
	}
	if in.Live() > h.cap {
		return out.Send(ctx, in)
	}
	h.size += in.Live()
	h.held = append(h.held, in)
	return nil
}

func (h *holder) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[word]) (time.Duration, error) {
	if why == graph.FlushStarved && h.wait > 0 && h.size > 0 {
		return h.wait, nil
	}
	return 0, h.send(ctx, out)
}

func (h *holder) send(ctx context.Context, out graph.Port[word]) error {
	if h.size == 0 {
		return nil
	}
	b := graph.Concat(h.held...)
	h.held, h.size = nil, 0
	return out.Send(ctx, b)
}

func (h *holder) Bounds() graph.Bounds { return graph.Bounds{HoldItems: h.cap, HoldBytes: 1 << 12} }
