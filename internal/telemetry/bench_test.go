package telemetry

import (
	"context"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/engram-stream/engram/graph"
)

type ignore struct{}

func (ignore) Settle(int, graph.Outcome) {}

type pass struct{}

func (pass) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	return out.Send(ctx, in)
}

type discard struct{}

func (discard) Deliver(context.Context, *graph.Batch[int]) error { return nil }

// charging is pass that takes the budget, which a graph wants once.
type charging struct{ budget *graph.Budget }

func (c charging) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	if !in.TryCharge(c.budget) {
		return graph.ErrNoCredit
	}
	return out.Send(ctx, in)
}

// fourStages is a running graph of a source, four fused stages and a sink.
func fourStages(b *testing.B, h graph.Hooks) graph.Inlet[int] {
	b.Helper()
	r := graph.NewRegistry()
	type none struct{}
	graph.RegisterSource(r, "in", graph.Doc{}, none{}, func(_ none, _ graph.Deps, in graph.Inlet[int]) (any, error) { return in, nil })
	graph.Register(r, "charge", graph.Doc{Traits: graph.Traits{Fused: true, Charges: true}}, none{},
		func(_ none, d graph.Deps) (graph.Stage[int, int], error) { return charging{d.Budget}, nil })
	graph.Register(r, "pass", graph.Doc{Traits: graph.Traits{Fused: true}}, none{},
		func(none, graph.Deps) (graph.Stage[int, int], error) { return pass{}, nil })
	graph.RegisterSink(r, "out", graph.Doc{}, none{}, func(none, graph.Deps) (graph.Sink[int], error) { return discard{}, nil })
	spec := &graph.Spec{Budget: graph.Window{Items: 1 << 20, Bytes: 1 << 40}, Nodes: []graph.NodeSpec{
		{Name: "in", Role: graph.RoleSource, Kind: "in", Offers: graph.Window{Items: 100, Bytes: 100}},
		{Name: "charge", Role: graph.RoleStage, Kind: "charge", From: []graph.FromSpec{{Name: "in"}}},
		{Name: "a", Role: graph.RoleStage, Kind: "pass", From: []graph.FromSpec{{Name: "charge"}}},
		{Name: "b", Role: graph.RoleStage, Kind: "pass", From: []graph.FromSpec{{Name: "a"}}},
		{Name: "c", Role: graph.RoleStage, Kind: "pass", From: []graph.FromSpec{{Name: "b"}}},
		{Name: "out", Role: graph.RoleSink, Kind: "out", From: []graph.FromSpec{{Name: "c"}}},
	}}
	e, found := spec.Build(r, graph.Options{Hooks: h})
	require.Empty(b, found)
	require.NoError(b, e.Start(b.Context()))
	b.Cleanup(func() { _, _ = e.Drain(context.Background()) })
	return e.Endpoints()["in"].(graph.Inlet[int])
}

// BenchmarkFourStages is the cost of one offer of 100 items through four stages, by who listens.
func BenchmarkFourStages(b *testing.B) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()), sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	for _, c := range []struct {
		name string
		to   *Telemetry
	}{
		{"no hooks", &Telemetry{}},
		{"no provider", New(nil, nil)},
		{"metrics", New(nil, meters)},
		{"sampled out", New(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())), nil)},
		{"recorded", New(sdktrace.NewTracerProvider(), meters)},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := fourStages(b, c.to.Hooks([]string{"in", "charge", "a", "b", "c", "out"}))
			b.ReportAllocs()
			for b.Loop() {
				_ = in.Offer(context.Background(), graph.Offer[int]{Items: make([]int, 100), Bytes: make([]int32, 100), Settler: ignore{}})
			}
		})
	}
}

// BenchmarkRecall is what is added to a unary recall: the RPC edge and the recall's own, around nothing.
func BenchmarkRecall(b *testing.B) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()), sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	for _, c := range []struct {
		name string
		to   *Telemetry
	}{
		{"off", New(nil, nil)},
		{"metrics", New(nil, meters)},
		{"metrics, sampled out", New(never, meters)},
		{"metrics, recorded", New(sdktrace.NewTracerProvider(), meters)},
	} {
		b.Run(c.name, func(b *testing.B) {
			recalls, err := c.to.Recalls()
			require.NoError(b, err)
			edge, err := c.to.RPC()
			require.NoError(b, err)
			answer := connect.NewResponse(new(int))
			call := connect.UnaryFunc(func(ctx context.Context, _ connect.AnyRequest) (connect.AnyResponse, error) {
				return answer, recalls.Measure(ctx, func(context.Context) error { return nil })
			})
			if edge != nil {
				call = edge.WrapUnary(call)
			}
			request := connect.NewRequest(new(int))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = call(context.Background(), request)
			}
		})
	}
}
