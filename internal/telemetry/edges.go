package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"

	"github.com/engram-stream/engram/graph"
)

// edgeGauges are the instruments of WatchEdges.
type edgeGauges struct {
	items, bytes, windowItems, windowBytes metric.Int64ObservableGauge
}

// WatchEdges reports the queues of a graph whenever metrics are read, until stop is called. stats must be safe for
// concurrent use. Without a meter nothing is read. The error says that the provider refused an instrument.
func (t *Telemetry) WatchEdges(stats func() graph.Stats) (stop func() error, err error) {
	if t.meter == nil {
		return func() error { return nil }, nil
	}
	gauges, err := newEdgeGauges(t.meter)
	if err != nil {
		return nil, err
	}
	watch, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, edge := range stats().Edges {
			gauges.observe(o, edge)
		}
		return nil
	}, gauges.items, gauges.bytes, gauges.windowItems, gauges.windowBytes)
	if err != nil {
		return nil, err
	}
	return watch.Unregister, nil
}

func newEdgeGauges(meter metric.Meter) (g edgeGauges, err error) {
	var errs []error
	for _, i := range []struct {
		gauge                   *metric.Int64ObservableGauge
		name, unit, description string
	}{
		{&g.items, EdgeItems, "{item}", "Items queued in front of a stage."},
		{&g.bytes, EdgeBytes, "By", "Weight of the items queued in front of a stage."},
		{&g.windowItems, EdgeWindowItems, "{item}", "The most items that may queue in front of a stage."},
		{&g.windowBytes, EdgeWindowBytes, "By", "The most weight that may queue in front of a stage."},
	} {
		*i.gauge, err = meter.Int64ObservableGauge(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
		errs = append(errs, err)
	}
	return g, errors.Join(errs...)
}

func (g edgeGauges) observe(o metric.Observer, edge graph.EdgeStats) {
	to := metric.WithAttributes(AttrStage.String(edge.To))
	o.ObserveInt64(g.items, int64(edge.Depth.Items), to)
	o.ObserveInt64(g.bytes, edge.Depth.Bytes, to)
	o.ObserveInt64(g.windowItems, int64(edge.Window.Items), to)
	o.ObserveInt64(g.windowBytes, edge.Window.Bytes, to)
}
