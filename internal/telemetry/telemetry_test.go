package telemetry

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNobodyToReportToMeansNoHooks(t *testing.T) {
	for name, to := range map[string]*Telemetry{
		"globals nobody set": New(nil, nil),
		"silent ones":        New(tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider()),
	} {
		t.Run(name, func(t *testing.T) {
			assert.True(t, to.Hooks([]string{"journal"}) == nil, "an untyped nil, which is what the graph looks for") //nolint:testifylint // assert.Nil takes a typed one
			stop, err := to.Watch(func(context.Context) Reading { panic("read") })
			require.NoError(t, err)
			assert.NoError(t, stop())
		})
	}
}

func TestTheGlobalsAreUsedOnceSomebodySetThem(t *testing.T) {
	otel.SetTracerProvider(sdktrace.NewTracerProvider())
	otel.SetMeterProvider(sdkmetric.NewMeterProvider())
	t.Cleanup(func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
	})
	to := New(nil, nil)
	assert.NotNil(t, to.tracer)
	assert.NotNil(t, to.meter)
}

func TestExtract(t *testing.T) {
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, c := range map[string]struct {
		traceparent, tracestate string
		valid, sampled          bool
		state                   string
	}{
		"sampled":            {traceparent: "00-" + id + "-" + span + "-01", valid: true, sampled: true},
		"not sampled":        {traceparent: "00-" + id + "-" + span + "-00", valid: true},
		"with state":         {traceparent: "00-" + id + "-" + span + "-01", tracestate: "a=1,b=2", valid: true, sampled: true, state: "a=1,b=2"},
		"bad state alone":    {traceparent: "00-" + id + "-" + span + "-01", tracestate: "=,", valid: true, sampled: true},
		"of a later version": {traceparent: "01-" + id + "-" + span + "-01", valid: true, sampled: true},
		"empty":              {tracestate: "a=1"},
		"forbidden version":  {traceparent: "ff-" + id + "-" + span + "-01"},
		"no trace":           {traceparent: "00-00000000000000000000000000000000-" + span + "-01"},
		"no span":            {traceparent: "00-" + id + "-0000000000000000-01"},
		"too long":           {traceparent: "00-" + id + "-" + span + "-01-x"},
		"cut":                {traceparent: "00-" + id + "-" + span},
		"noise":              {traceparent: "\x00é"},
		"capitals":           {traceparent: "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + span + "-01"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := Extract(t.Context(), c.traceparent, c.tracestate)
			got := trace.SpanContextFromContext(ctx)
			assert.Equal(t, c.valid, got.IsValid())
			assert.Equal(t, c.sampled, got.IsSampled())
			assert.Equal(t, c.valid, got.IsRemote())
			assert.Equal(t, c.state, got.TraceState().String())
			if c.valid {
				assert.Equal(t, id, got.TraceID().String())
				assert.Equal(t, span, got.SpanID().String())
			} else {
				assert.Equal(t, t.Context(), ctx, "as it was")
			}
		})
	}
}
