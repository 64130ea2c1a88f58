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
	stages := &Stages{}
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(stages))
	to := New(nil, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	assert.NotContains(t, read(t, reader), StageDuration, "nobody has counted yet")
	rpc := graph.NodeStats{Name: "rpc", Role: graph.RoleSource}
	rpc.Ended[graph.Success] = graph.CallStats{Calls: 1, Items: 5}
	coalesce := graph.NodeStats{Name: "coalesce", Role: graph.RoleStage}
	coalesce.Ended[graph.Success] = graph.CallStats{Calls: 3, Items: 5, Busy: 750 * time.Millisecond}
	coalesce.Ended[graph.Success].Took[0] = 2
	coalesce.Ended[graph.Success].Took[14] = 1
	coalesce.Ended[graph.Refused] = graph.CallStats{Calls: 1, Items: 2, Busy: time.Minute}
	coalesce.Ended[graph.Refused].Took[len(graph.TookBounds)] = 1
	s := graph.Stats{Nodes: []graph.NodeStats{rpc, coalesce}}
	stop := stages.Watch(time.Now(), func() graph.Stats { return s })
	unwatch, err := to.Watch(func(context.Context) Reading { return Reading{Graph: s} })
	require.NoError(t, err)
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
		},
	}, got[StageItems].Data, metricdatatest.IgnoreTimestamp())
	metricdatatest.AssertAggregationsEqual(t, metricdata.Histogram[float64]{
		Temporality: metricdata.CumulativeTemporality,
		DataPoints: []metricdata.HistogramDataPoint[float64]{
			{Attributes: at("coalesce", "success"), Count: 3, Sum: 0.75, Bounds: durationBounds, BucketCounts: coalesce.Ended[graph.Success].Took[:]},
			{Attributes: at("coalesce", "refused"), Count: 1, Sum: 60, Bounds: durationBounds, BucketCounts: coalesce.Ended[graph.Refused].Took[:]},
		},
	}, got[StageDuration].Data, metricdatatest.IgnoreTimestamp())
	assert.Equal(t, "s", got[StageDuration].Unit)
	stop()
	require.NoError(t, unwatch())
	assert.Empty(t, read(t, reader))
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
