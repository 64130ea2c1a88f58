package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
)

// Recalls measures recalls: each has a span under its client's trace, and its time. Nil measures nothing, at no cost.
// Safe for concurrent use.
type Recalls struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	record   [graph.Statuses][]metric.RecordOption // by graph.CallStatus
}

// Recalls returns nil when there is nobody to report to. The error says that the provider refused an instrument.
func (t *Telemetry) Recalls() (*Recalls, error) {
	if t.tracer == nil && t.meter == nil {
		return nil, nil
	}
	r := &Recalls{tracer: t.tracer}
	if r.tracer == nil {
		r.tracer = tracenoop.Tracer{}
	}
	meter := t.meter
	if meter == nil {
		meter = metricnoop.Meter{}
	}
	for status := range graph.CallStatus(graph.Statuses) {
		r.record[status] = []metric.RecordOption{metric.WithAttributes(AttrOutcome.String(status.String()))}
	}
	var err error
	r.duration, err = meter.Float64Histogram(RecallDuration, metric.WithUnit("s"),
		metric.WithDescription("What a recall took, from the query to the hits, without sending them."),
		metric.WithExplicitBucketBoundaries(durationBounds...))
	return r, err
}

// Measure runs a recall.
func (r *Recalls) Measure(ctx context.Context, recall func(context.Context) error) error {
	if r == nil {
		return recall(ctx)
	}
	began := time.Now()
	ctx, span := r.tracer.Start(ctx, recallSpan)
	defer span.End() // when it panics, too
	err := recall(ctx)
	status := recallStatus(err)
	if span.IsRecording() {
		span.SetAttributes(AttrOutcome.String(status.String()))
		switch status {
		case graph.Failure:
			span.SetStatus(codes.Error, text(err))
		case graph.Refused:
			span.SetAttributes(AttrReason.String(text(err)))
		}
	}
	r.duration.Record(ctx, time.Since(began).Seconds(), r.record[status]...)
	return err
}

// recallStatus puts the blame: on the server, or on the question and on whoever gave up waiting.
func recallStatus(err error) graph.CallStatus {
	if err == nil {
		return graph.Success
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Corrupt, fault.StorageUnavailable:
		return graph.Failure
	}
	return graph.Refused
}
