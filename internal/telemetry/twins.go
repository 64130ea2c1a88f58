package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/graph"
)

// maxTwins bounds the spans of one call beside its own. A batch has up to graph.MaxTraces offers, and an exporter
// carries all that is recorded.
const maxTwins = 16

// twins are the spans of a call in the traces that it does not belong to: a batch that was made of several offers runs
// once, and each client whose trace is sampled shall see it. Each links to the span of the call.
type twins struct {
	of    trace.Span // the call's own: a stage that runs inside another finds that one's twins in its context, too
	spans []trace.Span
}

type twinsKey struct{}

// beginTwins starts them, for the traces other than origin that are sampled.
func (h *hooks) beginTwins(ctx context.Context, own trace.Span, c graph.Call, origin int) context.Context {
	if len(c.Traces) < 2 {
		return ctx
	}
	n, t := h.node(c.Node), twins{of: own}
	for i := range c.Traces {
		parent := spanOf(c.Traces, i)
		if i == origin || !parent.SpanContext().IsSampled() || len(t.spans) == maxTwins {
			continue
		}
		_, span := h.tracer.Start(trace.ContextWithSpan(ctx, parent), n.spanName(c))
		describe(span, n, c)
		span.AddLink(trace.Link{SpanContext: own.SpanContext()})
		t.spans = append(t.spans, span)
	}
	return context.WithValue(ctx, twinsKey{}, t)
}

func endTwins(ctx context.Context, own trace.Span, r graph.CallResult) {
	t, ok := ctx.Value(twinsKey{}).(twins)
	if !ok || t.of != own {
		return
	}
	for _, span := range t.spans {
		conclude(span, r)
		span.End()
	}
}
