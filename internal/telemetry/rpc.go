package telemetry

import (
	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/otel/propagation"
)

// RPC returns what measures calls at the RPC edge: a span for each call or stream, without an event a message, and how
// long it took. Nil when there is nobody to report to. The error says that the provider refused an instrument.
func (t *Telemetry) RPC() (connect.Interceptor, error) {
	if t.tracer == nil && t.meter == nil {
		return nil, nil
	}
	options := []otelconnect.Option{otelconnect.WithTrustRemote(), otelconnect.WithPropagator(propagation.TraceContext{})}
	if t.tracer == nil {
		options = append(options, otelconnect.WithoutTracing())
	} else {
		options = append(options, otelconnect.WithTracerProvider(t.tracers))
	}
	if t.meter == nil {
		options = append(options, otelconnect.WithoutMetrics())
	} else {
		options = append(options, otelconnect.WithMeterProvider(t.meters))
	}
	return otelconnect.NewInterceptor(options...)
}
