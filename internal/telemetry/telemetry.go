package telemetry

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/engram-stream/engram/graph"
)

// Telemetry is where a server's spans and metrics go. Immutable, safe for concurrent use.
type Telemetry struct {
	tracer trace.Tracer // nil: no spans
	meter  metric.Meter // nil: no metrics

	// Where tracer and meter are from, for those who make their own.
	tracers trace.TracerProvider
	meters  metric.MeterProvider
}

// The globals before anyone has set them: what they hand out does nothing, yet at a cost.
var (
	unsetTracers = otel.GetTracerProvider()
	unsetMeters  = otel.GetMeterProvider()
)

// New returns the telemetry of one server. A nil provider means the global one of OpenTelemetry, as it is now: one
// that is set later is not seen.
func New(tracers trace.TracerProvider, meters metric.MeterProvider) *Telemetry {
	if tracers == nil {
		tracers = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	t := &Telemetry{tracers: tracers, meters: meters}
	if _, silent := tracers.(tracenoop.TracerProvider); !silent && tracers != unsetTracers {
		t.tracer = tracers.Tracer(Scope)
	}
	if _, silent := meters.(metricnoop.MeterProvider); !silent && meters != unsetMeters {
		t.meter = meters.Meter(Scope)
	}
	return t
}

// Hooks returns what goes into graph.Options for a graph with the nodes named: spans. Nil when there is nobody to report
// them to. What is measured of stages the graph counts itself: see Watch and Stages.
func (t *Telemetry) Hooks(nodes []string) graph.Hooks {
	if t.tracer == nil {
		return nil
	}
	h := &hooks{tracer: t.tracer, nodes: make(map[string]*node, len(nodes))}
	for _, name := range nodes {
		h.nodes[name] = newNode(name)
	}
	return h
}
