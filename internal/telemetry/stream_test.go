package telemetry

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/graph"
)

func TestFramesOfAStreamLinkToItsSpanAndDoNotHangUnderIt(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for name, c := range map[string]struct {
		header http.Header
		parent string
	}{
		"of no trace":              {http.Header{}, "0000000000000000"},
		"whose header names one":   {http.Header{"Traceparent": {parent}}, "00f067aa0ba902b7"},
		"whose header is nonsense": {http.Header{"Traceparent": {"00-1"}}, "0000000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			h, spans := recorded(t)
			ctx, stream := sdktrace.NewTracerProvider().Tracer("edge").Start(t.Context(), "stream")
			defer stream.End()
			ctx = Stream(ctx, c.header)
			got := run(h, spans, graph.Call{Node: "rpc", Offer: true, Items: 1, Traces: []context.Context{ctx}}, graph.CallResult{})
			assert.Empty(t, got[0].Links, "begun outside the stream")

			call := graph.Call{Node: "rpc", Offer: true, Items: 1, Traces: []context.Context{ctx}}
			h.End(h.Begin(ctx, call), call, graph.CallResult{})
			offer := spans.GetSpans()[1]
			assert.Equal(t, c.parent, offer.Parent.SpanID().String())
			require.Len(t, offer.Links, 1)
			assert.Equal(t, stream.SpanContext(), offer.Links[0].SpanContext)
		})
	}
}

func TestAStreamThatIsNotMeasuredHasNothingToLinkTo(t *testing.T) {
	remote := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true,
	})
	ctx := Stream(trace.ContextWithSpanContext(t.Context(), remote), http.Header{})
	assert.False(t, trace.SpanContextFromContext(ctx).IsValid())
	assert.Nil(t, ctx.Value(streamKey{}))
}
