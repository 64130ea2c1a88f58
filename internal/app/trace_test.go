package app

import (
	"bytes"
	"maps"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/telemetry"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	clientsOwn  = "00-" + clientTrace + "-" + clientSpan + "-01"
)

// pipelineSpans are the spans of an observation's way through the default pipeline.
var pipelineSpans = []string{
	"offer rpc", "stage decode", "stage sequence", "stage admit", "stage embed", "stage coalesce", "stage shard", "stage journal",
	"stage index", "stage notify", "stage replies",
}

// tracedServer is startServer with telemetry that the test reads.
func tracedServer(t *testing.T) (*Server, *tracetest.InMemoryExporter, *sdkmetric.ManualReader) {
	t.Helper()
	spans, metrics := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	s, err := New(Config{
		Overrides:      []config.Override{flag("listen", "127.0.0.1:0"), flag("data", t.TempDir())},
		LookupEnv:      noEnvironment,
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics)),
	})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stop(t, s) })
	return s, spans, metrics
}

func observeUnder(traceparent string) *engramv1.MemoryFlowRequest {
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: &engramv1.ObserveBatch{
		FirstSequence: 1, Observations: []*engramv1.Observation{seen("a", 1, 0)}, Traceparent: traceparent,
	}}}
}

// The spans of the RPC edge: of a call it stands between the client's and the offer's, of a stream beside them.
const (
	callSpan   = "engram.v1.MemoryService/Observe"
	streamSpan = "engram.v1.FlowService/MemoryFlow"
)

// spansOf stops the server, which ends every span, and checks that the pipeline's are of one trace and none hangs in
// the air: the offer hangs under root, through the edge's span when it came by a call, and all others under the offer.
func spansOf(t *testing.T, s *Server, exported *tracetest.InMemoryExporter, root trace.SpanContext) trace.TraceID {
	t.Helper()
	stop(t, s)
	byName := map[string]tracetest.SpanStub{}
	for _, span := range exported.GetSpans() {
		byName[span.Name] = span
	}
	offer := byName["offer rpc"]
	if call, ok := byName[callSpan]; ok {
		assert.Equal(t, root.SpanID(), call.Parent.SpanID())
		assert.Equal(t, call.SpanContext.SpanID(), offer.Parent.SpanID())
	} else {
		assert.Equal(t, root.SpanID(), offer.Parent.SpanID())
		assert.Equal(t, []sdktrace.Link{{SpanContext: byName[streamSpan].SpanContext}}, offer.Links)
	}
	for _, name := range pipelineSpans {
		require.Contains(t, byName, name)
	}
	for _, span := range exported.GetSpans() {
		if span.Name == streamSpan {
			continue
		}
		assert.Contains(t, append(pipelineSpans, callSpan), span.Name)
		assert.Equal(t, offer.SpanContext.TraceID(), span.SpanContext.TraceID(), span.Name)
		if span.Name != "offer rpc" && span.Name != callSpan {
			assert.Equal(t, offer.SpanContext.SpanID(), span.Parent.SpanID(), span.Name)
		}
	}
	return offer.SpanContext.TraceID()
}

func clientContext(t *testing.T) trace.SpanContext {
	t.Helper()
	return trace.SpanContextFromContext(telemetry.Extract(t.Context(), clientsOwn, ""))
}

func TestEachStageHasASpanUnderTheTraceOfTheFrame(t *testing.T) {
	s, spans, _ := tracedServer(t)
	f, _ := join(t, s, faces())
	f.send(observeUnder(clientsOwn))
	f.ack(1)
	assert.Equal(t, clientTrace, spansOf(t, s, spans, clientContext(t)).String())
}

func TestEachStageHasASpanUnderTheTraceOfTheHeader(t *testing.T) {
	t.Run("grpc", func(t *testing.T) {
		s, spans, _ := tracedServer(t)
		r := connect.NewRequest(&engramv1.ObserveRequest{Space: "faces", Observations: []*engramv1.Observation{seen("a", 1, 0)}})
		r.Header().Set("Traceparent", clientsOwn)
		r.Header().Add("Tracestate", "one=1")
		r.Header().Add("Tracestate", "two=2")
		_, err := memoryClient(t, s).Observe(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, clientTrace, spansOf(t, s, spans, clientContext(t)).String())
		for _, span := range spans.GetSpans() {
			assert.Equal(t, "one=1,two=2", span.SpanContext.TraceState().String(), span.Name)
		}
	})
	t.Run("json", func(t *testing.T) {
		s, spans, _ := tracedServer(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Address()+"/engram.v1.MemoryService/Observe",
			bytes.NewBufferString(`{"space":"faces","observations":[{"embedding":[1,0]}]}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", clientsOwn)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, clientTrace, spansOf(t, s, spans, clientContext(t)).String())
	})
}

// TestWithoutATraceTheOfferBeginsOne also holds that a malformed traceparent costs its sender nothing.
func TestWithoutATraceTheOfferBeginsOne(t *testing.T) {
	for name, traceparent := range map[string]string{
		"none": "", "noise": "hello", "no trace id": "00-" + "00000000000000000000000000000000-" + clientSpan + "-01",
		"capitals": "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + clientSpan + "-01",
	} {
		t.Run(name, func(t *testing.T) {
			s, spans, _ := tracedServer(t)
			f, _ := join(t, s, faces())
			f.send(observeUnder(traceparent))
			f.ack(1)
			id := spansOf(t, s, spans, trace.SpanContext{})
			assert.True(t, id.IsValid())
			assert.NotEqual(t, clientTrace, id.String())
		})
	}
}

func TestMetricsCountItemsAndReportEdgesWhileRunning(t *testing.T) {
	s, _, metrics := tracedServer(t)
	f, _ := join(t, s, faces())
	f.observe(1, seen("a", 1, 0), seen("b", 0, 1))
	f.ack(2)
	want := map[string]int64{
		"rpc": 2, "decode": 2, "sequence": 2, "admit": 2, "embed": 2, "coalesce": 2, "shard": 2, "journal": 2, "index": 2, "notify": 2, "replies": 2,
	}
	require.Eventually(t, func() bool { return maps.Equal(want, itemsOf(t, collect(t, metrics))) }, 10*time.Second, time.Millisecond,
		"the ack goes out before the stages that sent it have ended")
	assert.Contains(t, collect(t, metrics), telemetry.EdgeWindowItems)
	stop(t, s)
	assert.NotContains(t, collect(t, metrics), telemetry.EdgeWindowItems, "a stopped server is not reported")
}

// itemsOf returns the items that each stage was handed, all of them with success.
func itemsOf(t *testing.T, read map[string]metricdata.Aggregation) map[string]int64 {
	t.Helper()
	counted := map[string]int64{}
	for _, point := range read[telemetry.StageItems].(metricdata.Sum[int64]).DataPoints {
		stage, _ := point.Attributes.Value(telemetry.AttrStage)
		outcome, _ := point.Attributes.Value(telemetry.AttrOutcome)
		assert.Equal(t, "success", outcome.AsString(), stage.AsString())
		counted[stage.AsString()] = point.Value
	}
	return counted
}

// collect reads all metrics by name.
func collect(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Aggregation {
	t.Helper()
	var read metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &read))
	out := map[string]metricdata.Aggregation{}
	for _, scope := range read.ScopeMetrics {
		for _, m := range scope.Metrics {
			out[m.Name] = m.Data
		}
	}
	return out
}
