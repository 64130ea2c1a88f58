package telemetry

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/engram-stream/engram/graph"
)

func metered() (*Telemetry, *sdkmetric.ManualReader) {
	reader := sdkmetric.NewManualReader()
	return New(nil, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))), reader
}

// read returns all metrics by name.
func read(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	out := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		assert.Equal(t, Scope, scope.Scope.Name)
		for _, m := range scope.Metrics {
			out[m.Name] = m
		}
	}
	return out
}

func TestCallsAreMeasured(t *testing.T) {
	to, reader := metered()
	h, err := to.Hooks([]string{"rpc", "coalesce"})
	require.NoError(t, err)
	for _, call := range []struct {
		graph.Call
		graph.CallResult
	}{
		{graph.Call{Node: "rpc", Offer: true, Items: 5}, graph.CallResult{Elapsed: time.Second}},
		{graph.Call{Node: "coalesce", Items: 5}, graph.CallResult{Elapsed: time.Second, Busy: 250 * time.Millisecond}},
		{graph.Call{Node: "coalesce", Items: 5, Flush: graph.FlushStarved}, graph.CallResult{Busy: 500 * time.Millisecond}},
		{graph.Call{Node: "coalesce", Items: 2}, graph.CallResult{Status: graph.Refused, Busy: time.Second}},
		{graph.Call{Node: "unnamed", Items: 1}, graph.CallResult{Status: graph.Failure, Busy: time.Second}},
	} {
		h.End(h.Begin(context.Background(), call.Call), call.Call, call.CallResult)
	}
	got := read(t, reader)
	at := func(stage, outcome string) attribute.Set {
		return attribute.NewSet(AttrStage.String(stage), AttrOutcome.String(outcome))
	}
	metricdatatest.AssertAggregationsEqual(t, metricdata.Sum[int64]{
		Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
		DataPoints: []metricdata.DataPoint[int64]{
			{Attributes: at("rpc", "success"), Value: 5},
			{Attributes: at("coalesce", "success"), Value: 5},
			{Attributes: at("coalesce", "refused"), Value: 2},
			{Attributes: at("unnamed", "failure"), Value: 1},
		},
	}, got[StageItems].Data, metricdatatest.IgnoreTimestamp())
	sums := map[attribute.Set]float64{}
	for _, point := range got[StageDuration].Data.(metricdata.Histogram[float64]).DataPoints {
		sums[point.Attributes] = point.Sum
	}
	assert.Equal(t, map[attribute.Set]float64{
		at("coalesce", "success"): 0.75, at("coalesce", "refused"): 1, at("unnamed", "failure"): 1,
	}, sums, "seconds of the stage's own")
	assert.Equal(t, "s", got[StageDuration].Unit)
}

func TestEdgesAreReadUntilStopped(t *testing.T) {
	to, reader := metered()
	stop, err := to.Watch(func(context.Context) Reading {
		return Reading{Graph: graph.Stats{Edges: []graph.EdgeStats{
			{To: "index", Depth: graph.Window{Items: 3, Bytes: 300}, Window: graph.Window{Items: 4096, Bytes: 1 << 20}},
		}}}
	})
	require.NoError(t, err)
	got := read(t, reader)
	for name, want := range map[string]int64{EdgeItems: 3, EdgeBytes: 300, EdgeWindowItems: 4096, EdgeWindowBytes: 1 << 20} {
		metricdatatest.AssertAggregationsEqual(t, metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{
			{Attributes: attribute.NewSet(AttrStage.String("index")), Value: want},
		}}, got[name].Data, metricdatatest.IgnoreTimestamp())
	}
	require.NoError(t, stop())
	assert.Empty(t, read(t, reader))
}
