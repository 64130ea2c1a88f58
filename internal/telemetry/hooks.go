package telemetry

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/graph"
)

// hooks implements graph.Hooks with spans. Immutable, so its methods take no lock.
type hooks struct {
	tracer trace.Tracer
	nodes  map[string]*node
}

// Begin starts the span of a call.
func (h *hooks) Begin(ctx context.Context, c graph.Call) context.Context {
	if !traced(c) {
		return ctx
	}
	n := h.node(c.Node)
	first := origin(c.Traces)
	ctx, span := h.tracer.Start(trace.ContextWithSpan(ctx, spanOf(c.Traces, first)), n.spanName(c))
	if !span.IsRecording() {
		return ctx
	}
	describe(span, n, c)
	if c.Offer {
		linkToStream(ctx, span)
	}
	return h.beginTwins(ctx, span, c, first)
}

// End ends the span of a call.
func (h *hooks) End(ctx context.Context, c graph.Call, r graph.CallResult) {
	if !traced(c) {
		return
	}
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		conclude(span, r)
		endTwins(ctx, span, r)
	}
	span.End()
}

// Enqueue does nothing: queues are read from the graph's statistics, see Watch.
func (*hooks) Enqueue(string, int, graph.Window) {}

// Dequeue does nothing, as Enqueue.
func (*hooks) Dequeue(string, int, graph.Window, time.Duration) {}

// traced says whether a call has a span. A flush with nothing held has none: an idle stage would make them for ever. Nor
// has a call whose offers all belong to traces that are not kept, which is most of them: asking the tracer costs more than
// all else here. What to do with an offer the tracer says.
func traced(c graph.Call) bool {
	return c.Offer || (c.Flush == 0 || c.Items > 0) && (len(c.Traces) == 0 || slices.ContainsFunc(c.Traces, sampled))
}

func sampled(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }

func (h *hooks) node(name string) *node {
	if n := h.nodes[name]; n != nil {
		return n
	}
	return newNode(name)
}

// origin picks the trace that a batch belongs to: the first that is sampled, since under one that is not, the span
// would be dropped and the sampled traces would end here; without any, the first.
func origin(traces []context.Context) int {
	return max(0, slices.IndexFunc(traces, sampled))
}

// spanOf returns the span of trace i; one that does nothing when there is none.
func spanOf(traces []context.Context, i int) trace.Span {
	if i >= len(traces) {
		return trace.SpanFromContext(context.Background())
	}
	return trace.SpanFromContext(traces[i])
}

func describe(span trace.Span, n *node, c graph.Call) {
	span.SetAttributes(n.name, AttrLane.Int(c.Lane), AttrItems.Int(c.Items))
	if c.Flush != 0 {
		span.SetAttributes(AttrFlush.String(flushes[c.Flush]))
	}
}

// conclude puts the blame where it belongs: only a failure of the stage itself is an error of its span.
func conclude(span trace.Span, r graph.CallResult) {
	span.SetAttributes(AttrOutcome.String(r.Status.String()))
	switch {
	case r.Status == graph.Failure:
		span.SetStatus(codes.Error, text(r.Err))
	case r.Err != nil:
		span.SetAttributes(AttrReason.String(text(r.Err)))
	}
}

// maxText bounds an error's text in a span, in bytes.
const maxText = 512

func text(err error) string {
	s := err.Error()
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}
