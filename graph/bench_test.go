package graph_test

import (
	"context"
	"testing"

	"github.com/engram-stream/engram/graph"
)

type ignore struct{}

func (ignore) Settle(int, graph.Outcome) {}

// BenchmarkFourStages is the cost of one offer of 100 items through four stages, fused or each behind an edge.
func BenchmarkFourStages(b *testing.B) {
	for name, fused := range map[string]bool{"fused": true, "edges": false} {
		b.Run(name, func(b *testing.B) {
			r := toys(discard)
			for _, kind := range []string{"a", "b", "c"} {
				addStage(r, kind, graph.Traits{Fused: fused}, func(graph.Deps) graph.Stage[word, word] { return each[word, word](pass) })
			}
			spec := line("charge", "a", "b", "c")
			spec.Budget = graph.Window{Items: 1 << 20, Bytes: 1 << 40}
			e := start(b, spec, r, graph.Options{})
			b.ReportAllocs()
			for b.Loop() {
				items, bytes := make([]word, 100), make([]int32, 100)
				_ = inlet(e).Offer(context.Background(), graph.Offer[word]{Items: items, Bytes: bytes, Settler: ignore{}})
			}
			drain(b, e)
		})
	}
}
