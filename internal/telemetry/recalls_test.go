package telemetry

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/internal/fault"
)

func TestARecallHasASpanAndATime(t *testing.T) {
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	r, err := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))).Recalls()
	require.NoError(t, err)
	ctx, parent := offered(1, true)
	corrupt, unknown := fault.New(fault.Corrupt, "a torn page"), fault.New(fault.NotFound, "no such space")
	for _, failure := range []error{nil, corrupt, unknown, context.Canceled} {
		err := r.Measure(ctx, func(ctx context.Context) error {
			assert.True(t, trace.SpanFromContext(ctx).IsRecording())
			return failure
		})
		assert.Equal(t, failure, err)
	}
	got := spans.GetSpans()
	require.Len(t, got, 4)
	for i, outcome := range []string{"success", "failure", "refused", "refused"} {
		assert.Equal(t, "recall", got[i].Name)
		assert.Equal(t, parent.SpanID(), got[i].Parent.SpanID())
		assert.Contains(t, got[i].Attributes, AttrOutcome.String(outcome))
		assert.Equal(t, i == 1, got[i].Status.Code == codes.Error, outcome)
	}
	assert.Contains(t, got[2].Attributes, AttrReason.String(unknown.Error()))
	counts := map[attribute.Set]uint64{}
	for _, point := range read(t, reader)[RecallDuration].Data.(metricdata.Histogram[float64]).DataPoints {
		counts[point.Attributes] = point.Count
	}
	assert.Equal(t, map[attribute.Set]uint64{
		attribute.NewSet(AttrOutcome.String("success")): 1, attribute.NewSet(AttrOutcome.String("failure")): 1,
		attribute.NewSet(AttrOutcome.String("refused")): 2,
	}, counts)
}

func TestARecallThatPanicsEndsItsSpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	r, err := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil).Recalls()
	require.NoError(t, err)
	assert.Panics(t, func() { _ = r.Measure(t.Context(), func(context.Context) error { panic("here") }) })
	assert.Len(t, spans.GetSpans(), 1)
}

func TestWithoutAnyoneToReportToARecallIsJustMade(t *testing.T) {
	r, err := New(nil, nil).Recalls()
	require.NoError(t, err)
	assert.Nil(t, r)
	failure := errors.New("as it is")
	assert.Equal(t, failure, r.Measure(t.Context(), func(ctx context.Context) error {
		assert.Equal(t, t.Context(), ctx)
		return failure
	}))
	edge, err := New(nil, nil).RPC()
	require.NoError(t, err)
	assert.True(t, edge == nil, "an untyped nil") //nolint:testifylint // assert.Nil takes a typed one
}
