package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
)

// Extract returns ctx with the trace context that a client sent in W3C form, so that spans hang under its trace. One
// that is empty or malformed is ignored, as W3C says, and ctx comes back as it was; so is a malformed tracestate alone.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate})
}
