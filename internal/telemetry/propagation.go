package telemetry

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Extract returns ctx with the trace context that a client sent in W3C form, so that spans hang under its trace. One
// that is empty or malformed is ignored, as W3C says, and ctx comes back as it was; so is a malformed tracestate alone.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate})
}

// FromHeader is Extract from the header of a call or stream. Its tracestate may come in several lines.
func FromHeader(ctx context.Context, header http.Header) context.Context {
	return Extract(ctx, header.Get("Traceparent"), strings.Join(header.Values("Tracestate"), ","))
}

// streamKey finds the span of the stream that an offer came on, a trace.SpanContext.
type streamKey struct{}

// Stream returns what the frames of a stream run under, as long as they bring no trace of their own: the trace that
// the stream's header names, or none. The span of the stream itself, in ctx, is not their parent: it ends with the
// stream, hours later maybe, and until then all of them would be orphans in one trace without end. They link to it.
func Stream(ctx context.Context, header http.Header) context.Context {
	own := trace.SpanContextFromContext(ctx)
	ctx = FromHeader(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), header)
	if own.IsSampled() && !own.IsRemote() {
		ctx = context.WithValue(ctx, streamKey{}, own)
	}
	return ctx
}

// linkToStream points from an offer's span to that of its stream.
func linkToStream(ctx context.Context, span trace.Span) {
	if stream, ok := ctx.Value(streamKey{}).(trace.SpanContext); ok {
		span.AddLink(trace.Link{SpanContext: stream})
	}
}
