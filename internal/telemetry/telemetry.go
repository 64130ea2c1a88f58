package telemetry

import (
	"errors"

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

// Hooks returns what goes into graph.Options for a graph with the nodes named; nil when there is nobody to report to.
// The error says that the provider refused an instrument.
func (t *Telemetry) Hooks(nodes []string) (graph.Hooks, error) {
	if t.tracer == nil && t.meter == nil {
		return nil, nil //nolint:nilnil // no hooks is what costs the graph nothing
	}
	h := &hooks{tracer: t.tracer, nodes: make(map[string]*node, len(nodes))}
	for _, name := range nodes {
		h.nodes[name] = newNode(name)
	}
	meter := t.meter
	if meter == nil {
		meter = metricnoop.Meter{}
	}
	var failed, failedToo error
	h.duration, failed = meter.Float64Histogram(StageDuration, metric.WithUnit("s"),
		metric.WithDescription("A stage's own time for a call, without what it waited for or ran downstream."),
		metric.WithExplicitBucketBoundaries(durationBounds...))
	h.items, failedToo = meter.Int64Counter(StageItems, metric.WithUnit("{item}"),
		metric.WithDescription("Items offered by a source or handed to a stage, by how the call ended."))
	return h, errors.Join(failed, failedToo)
}
