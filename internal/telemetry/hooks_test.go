package telemetry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/graph"
)

// recorded returns hooks and the spans that they have ended.
func recorded(t *testing.T, options ...sdktrace.TracerProviderOption) (graph.Hooks, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	return New(sdktrace.NewTracerProvider(append(options, sdktrace.WithSyncer(spans))...), nil).Hooks([]string{"journal"}), spans
}

// run makes one call of the hooks and returns the spans so far.
func run(h graph.Hooks, spans *tracetest.InMemoryExporter, c graph.Call, r graph.CallResult) tracetest.SpanStubs {
	h.End(h.Begin(context.Background(), c), c, r)
	return spans.GetSpans()
}

// offered returns the context of an offer under a trace of its own, and the name of its span.
func offered(n byte, sampled bool) (context.Context, trace.SpanContext) {
	c := trace.SpanContextConfig{TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}}
	if sampled {
		c.TraceFlags = trace.FlagsSampled
	}
	s := trace.NewSpanContext(c)
	return trace.ContextWithSpanContext(context.Background(), s), s
}

func TestASpanSaysWhereAndHowMuch(t *testing.T) {
	h, spans := recorded(t)
	ctx, parent := offered(1, true)
	span := run(h, spans, graph.Call{Node: "journal", Lane: 3, Items: 7, Traces: []context.Context{ctx}}, graph.CallResult{})[0]
	assert.Equal(t, "stage journal", span.Name)
	assert.Equal(t, parent.TraceID(), span.SpanContext.TraceID())
	assert.Equal(t, parent.SpanID(), span.Parent.SpanID())
	assert.Equal(t, codes.Unset, span.Status.Code)
	assert.ElementsMatch(t, []attribute.KeyValue{
		attribute.String("engram.stage", "journal"), attribute.Int("engram.lane", 3), attribute.Int("engram.items", 7),
		attribute.String("engram.outcome", "success"),
	}, span.Attributes)
}

func TestTheStagesContextHoldsItsSpan(t *testing.T) {
	h, _ := recorded(t)
	offer, _ := offered(1, true)
	type key struct{}
	c := graph.Call{Node: "journal", Items: 1, Traces: []context.Context{offer}}
	ctx := h.Begin(context.WithValue(context.Background(), key{}, "kept"), c)
	defer h.End(ctx, c, graph.CallResult{})
	assert.Equal(t, "kept", ctx.Value(key{}), "the stage's own context goes on")
	assert.True(t, trace.SpanFromContext(ctx).IsRecording())
}

func TestTheTraceOfAWorkerIsNotThatOfABatch(t *testing.T) {
	h, spans := recorded(t)
	worker, _ := offered(9, true)
	offer, parent := offered(1, true)
	c := graph.Call{Node: "journal", Items: 1, Traces: []context.Context{offer}}
	h.End(h.Begin(worker, c), c, graph.CallResult{})
	assert.Equal(t, parent.TraceID(), spans.GetSpans()[0].SpanContext.TraceID())
}

func TestOnlyTheStagesOwnFailureIsAnError(t *testing.T) {
	err := errors.New("no room")
	h, spans := recorded(t)
	for _, status := range []graph.CallStatus{graph.Success, graph.Failure, graph.Refused} {
		spans.Reset()
		r := graph.CallResult{Status: status}
		if status != graph.Success {
			r.Err = err
		}
		span := run(h, spans, graph.Call{Node: "journal", Items: 1}, r)[0]
		assert.Contains(t, span.Attributes, AttrOutcome.String(status.String()))
		switch status {
		case graph.Failure:
			assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "no room"}, span.Status)
		case graph.Refused:
			assert.Equal(t, codes.Unset, span.Status.Code)
			assert.Contains(t, span.Attributes, AttrReason.String("no room"))
		default:
			assert.Equal(t, codes.Unset, span.Status.Code)
		}
	}
}

func TestALongErrorIsCut(t *testing.T) {
	h, spans := recorded(t)
	long := errors.New("x" + strings.Repeat("é", maxText))
	span := run(h, spans, graph.Call{Node: "journal", Items: 1}, graph.CallResult{Status: graph.Failure, Err: long})[0]
	assert.Equal(t, "x"+strings.Repeat("é", maxText/2-1), span.Status.Description, "at a character's edge")
}

func TestABatchOfSeveralOffersHasASpanInEachOfTheirTraces(t *testing.T) {
	h, spans := recorded(t)
	var traces []context.Context
	var contexts []trace.SpanContext
	for n := range byte(40) {
		ctx, sc := offered(n+1, n%2 == 1) // every other one is sampled
		traces, contexts = append(traces, ctx), append(contexts, sc)
	}
	got := run(h, spans, graph.Call{Node: "journal", Items: 40, Traces: traces}, graph.CallResult{Status: graph.Refused, Err: errors.New("full")})
	require.Len(t, got, 1+maxTwins)
	own := got[len(got)-1]
	assert.Equal(t, contexts[1].SpanID(), own.Parent.SpanID(), "the first that somebody will see")
	for i, twin := range got[:maxTwins] {
		assert.Equal(t, contexts[3+2*i].TraceID(), twin.SpanContext.TraceID())
		assert.Equal(t, contexts[3+2*i].SpanID(), twin.Parent.SpanID())
		assert.Equal(t, []sdktrace.Link{{SpanContext: own.SpanContext}}, twin.Links)
		assert.Equal(t, own.Name, twin.Name)
		assert.Equal(t, own.Attributes, twin.Attributes)
	}
}

func TestAStageInsideAnotherLeavesThatOnesTwins(t *testing.T) {
	h, spans := recorded(t)
	first, _ := offered(1, true)
	second, _ := offered(2, true)
	outer := graph.Call{Node: "index", Items: 2, Traces: []context.Context{first, second}}
	ctx := h.Begin(context.Background(), outer)
	inner := graph.Call{Node: "notify", Items: 1, Traces: outer.Traces[:1]}
	h.End(h.Begin(ctx, inner), inner, graph.CallResult{})
	assert.Len(t, spans.GetSpans(), 1, "its own")
	h.End(ctx, outer, graph.CallResult{})
	assert.Len(t, spans.GetSpans(), 3)
}

func TestAFlushHasASpanWhenSomethingIsHeld(t *testing.T) {
	h, spans := recorded(t)
	assert.Empty(t, run(h, spans, graph.Call{Node: "journal", Flush: graph.FlushStarved}, graph.CallResult{}))
	span := run(h, spans, graph.Call{Node: "journal", Items: 2, Flush: graph.FlushTimer}, graph.CallResult{})[0]
	assert.Contains(t, span.Attributes, AttrFlush.String("timer"))
}

// TestAnIdleFlushLeavesTheSpanOfItsContext: the graph keeps the values of the context it was started with.
func TestAnIdleFlushLeavesTheSpanOfItsContext(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	h := New(provider, nil).Hooks(nil)
	ctx, start := provider.Tracer("test").Start(context.Background(), "start of the process")
	c := graph.Call{Node: "journal", Flush: graph.FlushDrain}
	h.End(h.Begin(ctx, c), c, graph.CallResult{})
	assert.True(t, start.IsRecording())
	start.End()
}

func TestAnUnsampledTraceStaysSo(t *testing.T) {
	h, spans := recorded(t, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	ctx, _ := offered(1, false)
	assert.Empty(t, run(h, spans, graph.Call{Node: "rpc", Offer: true, Items: 1, Traces: []context.Context{ctx}},
		graph.CallResult{Elapsed: time.Second}))
	assert.Empty(t, run(h, spans, graph.Call{Node: "journal", Items: 1, Traces: []context.Context{ctx}}, graph.CallResult{}))
}

// TestAnUnsampledCallLeavesTheSpanOfItsContext: a fused stage runs in the context of whoever offers.
func TestAnUnsampledCallLeavesTheSpanOfItsContext(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	h := New(provider, nil).Hooks(nil)
	offer, _ := offered(1, false)
	ctx, around := provider.Tracer("test").Start(context.Background(), "whoever called")
	c := graph.Call{Node: "journal", Items: 1, Traces: []context.Context{offer}}
	h.End(h.Begin(ctx, c), c, graph.CallResult{})
	assert.True(t, around.IsRecording())
	around.End()
}
