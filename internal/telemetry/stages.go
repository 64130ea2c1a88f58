package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/engram-stream/engram/graph"
)

// Stages makes StageDuration from what the graph has counted, whenever metrics are read. An instrument would be told of each
// run of each stage, which costs a frame more than all else that is measured of it. It implements the SDK's Producer: a
// reader must be made with it. Safe for concurrent use; the zero value has nothing to tell.
type Stages struct {
	from atomic.Pointer[stagesSource]
}

type stagesSource struct {
	read  func() graph.Stats
	since time.Time
}

// Watch tells of the graph that read reads, which began at since, until stop is called. read must be safe for concurrent use.
func (s *Stages) Watch(since time.Time, read func() graph.Stats) (stop func()) {
	s.from.Store(&stagesSource{read: read, since: since})
	return func() { s.from.Store(nil) }
}

// Produce implements the SDK's Producer.
func (s *Stages) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	from := s.from.Load()
	if from == nil {
		return nil, nil
	}
	now := time.Now()
	data := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	eachEnded(from.read(), func(attrs attribute.Set, n graph.NodeStats, ended graph.CallStats) {
		if n.Role == graph.RoleSource {
			return
		}
		point := metricdata.HistogramDataPoint[float64]{
			Attributes: attrs, StartTime: from.since, Time: now, Bounds: durationBounds, Sum: ended.Busy.Seconds(), BucketCounts: ended.Took[:],
		}
		for _, count := range ended.Took {
			point.Count += count
		}
		data.DataPoints = append(data.DataPoints, point)
	})
	return []metricdata.ScopeMetrics{{
		Scope: instrumentation.Scope{Name: Scope},
		Metrics: []metricdata.Metrics{{
			Name: StageDuration, Unit: "s", Data: data,
			Description: "A stage's own time for a call, without what it waited for or ran downstream.",
		}},
	}}, nil
}

// eachEnded calls tell with the calls of each node by how they ended, where there were any.
func eachEnded(s graph.Stats, tell func(attrs attribute.Set, n graph.NodeStats, ended graph.CallStats)) {
	for _, n := range s.Nodes {
		for status, ended := range n.Ended {
			if ended.Calls > 0 {
				tell(attribute.NewSet(AttrStage.String(n.Name), AttrOutcome.String(graph.CallStatus(status).String())), n, ended)
			}
		}
	}
}

// durationBounds are the buckets of StageDuration and RecallDuration, in seconds.
var durationBounds = func() (bounds []float64) {
	for _, b := range graph.TookBounds {
		bounds = append(bounds, b.Seconds())
	}
	return bounds
}()
