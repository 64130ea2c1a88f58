package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// receiver is a collector that takes OTLP over HTTP, and keeps it.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	spans    []*otlp.Span // guarded by mu
	services []string     // guarded by mu: who sent them
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.take)
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, request *http.Request) {
	assert.Equal(r.t, "application/x-protobuf", request.Header.Get("Content-Type"))
	body, err := io.ReadAll(request.Body)
	assert.NoError(r.t, err)
	var sent collector.ExportTraceServiceRequest
	assert.NoError(r.t, proto.Unmarshal(body, &sent))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range sent.GetResourceSpans() {
		for _, attribute := range from.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				r.services = append(r.services, attribute.GetValue().GetStringValue())
			}
		}
		for _, scope := range from.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// received returns the spans so far, by the start of each.
func (r *receiver) received() []*otlp.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(r.spans), func(a, b *otlp.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
}

func exporting(t *testing.T, to *receiver, sample string) *Server {
	t.Helper()
	return startServer(t, t.TempDir(), flag("telemetry.traces.otlp", to.URL), flag("telemetry.traces.sample", sample))
}

// traceOf is trace n of a client, sampled.
func traceOf(n byte) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{15: n}, SpanID: trace.SpanID{7: n}, TraceFlags: trace.FlagsSampled,
	})
}

func traceparent(s trace.SpanContext) string {
	return "00-" + s.TraceID().String() + "-" + s.SpanID().String() + "-01"
}

// checkWhole checks the part of a client's trace that the server made for one batch: each of the steps has one span, in
// their order, that has seen all items (and coalesce one more when it sends on what it held); there is no other span,
// and each hangs under the client's or another of them.
func checkWhole(t *testing.T, spans []*otlp.Span, client trace.SpanContext, items int64, steps []string) {
	t.Helper()
	ids := map[string]bool{parentOf(client): true}
	var names []string
	for _, span := range spans {
		id := string(span.GetSpanId())
		assert.False(t, ids[id], "two spans of one id")
		ids[id] = true
		if attributeOf(span, "engram.flush") == nil {
			names = append(names, span.GetName())
		}
	}
	assert.ElementsMatch(t, steps, names)
	var stages []string
	for _, span := range spans {
		traceID := client.TraceID()
		assert.Equal(t, traceID[:], span.GetTraceId(), span.GetName())
		assert.True(t, ids[string(span.GetParentSpanId())], "%s is an orphan", span.GetName())
		assert.Less(t, span.GetStartTimeUnixNano(), span.GetEndTimeUnixNano())
		if strings.HasPrefix(span.GetName(), "stage ") {
			stages = append(stages, span.GetName())
			assert.Equal(t, items, attributeOf(span, "engram.items").GetIntValue(), span.GetName())
		}
	}
	assert.Equal(t, pipelineSpans[1:], slices.Compact(stages), "from decode on, in the order of the pipeline")
}

// parentOf is a span's id as those under it have it: nothing when there is no span.
func parentOf(s trace.SpanContext) string {
	if id := s.SpanID(); id.IsValid() {
		return string(id[:])
	}
	return ""
}

// attributeOf returns nil when there is none of the name.
func attributeOf(span *otlp.Span, name string) *common.AnyValue {
	for _, a := range span.GetAttributes() {
		if a.GetKey() == name {
			return a.GetValue()
		}
	}
	return nil
}

func ofTrace(spans []*otlp.Span, client trace.SpanContext) (of, others []*otlp.Span) {
	for _, span := range spans {
		if trace.TraceID(span.GetTraceId()) == client.TraceID() {
			of = append(of, span)
		} else {
			others = append(others, span)
		}
	}
	return of, others
}

// Only what a client has sampled is kept in these, so that a span anywhere else is a mistake.
const noneOfOurs = "0"

func TestACollectorGetsEachStageOfACallUnderItsClientsTrace(t *testing.T) {
	to := newReceiver(t)
	s := exporting(t, to, noneOfOurs)
	client := memoryClient(t, s)
	for n := range byte(3) {
		r := connect.NewRequest(&engramv1.ObserveRequest{Space: "faces", Observations: []*engramv1.Observation{seen("a", 1, 0), seen("b", 0, 1)}})
		r.Header().Set("Traceparent", traceparent(traceOf(n+1)))
		_, err := client.Observe(t.Context(), r)
		require.NoError(t, err)
	}
	stop(t, s)
	left := to.received()
	for n := range byte(3) {
		var of []*otlp.Span
		of, left = ofTrace(left, traceOf(n+1))
		checkWhole(t, of, traceOf(n+1), 2, append([]string{callSpan}, pipelineSpans...))
	}
	assert.Empty(t, left)
	assert.Contains(t, to.services, "engram")
}

func TestACollectorGetsEachStageOfAFrameUnderItsClientsTrace(t *testing.T) {
	to := newReceiver(t)
	s := exporting(t, to, noneOfOurs)
	f, _ := join(t, s, faces())
	for n := range uint64(3) {
		frame := observeFrame(2*n+1, seen("a", 1, 0), seen("b", 0, 1))
		frame.GetObserve().Traceparent = traceparent(traceOf(byte(n + 1)))
		f.send(frame)
		f.ack(2*n + 2)
	}
	f.observe(7, seen("of no trace", 1, 1))
	f.ack(7)
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Recall{Recall: &engramv1.RecallOp{
		RecallId: 1, Query: &engramv1.RecallQuery{Embedding: []float32{1, 0}, Limit: 1}, Traceparent: traceparent(traceOf(9)),
	}}})
	until(f, (*engramv1.MemoryFlowResponse).GetRecallDone)
	stop(t, s)
	left := to.received()
	for n := range byte(3) {
		var of []*otlp.Span
		of, left = ofTrace(left, traceOf(n+1))
		checkWhole(t, of, traceOf(n+1), 2, pipelineSpans)
	}
	require.Len(t, left, 1, "the recall's, and none of what nobody has sampled")
	assert.Equal(t, "recall", left[0].GetName())
	assert.Equal(t, parentOf(traceOf(9)), string(left[0].GetParentSpanId()))
}

func TestFramesHangUnderTheTraceOfTheirStreamsHeader(t *testing.T) {
	to := newReceiver(t)
	s := exporting(t, to, noneOfOurs)
	f := dial(t, s)
	f.stream.RequestHeader().Set("Traceparent", traceparent(traceOf(1)))
	f.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: faces()}})
	f.observe(1, seen("a", 1, 0))
	f.ack(1)
	stop(t, s)
	spans := to.received()
	checkWhole(t, spans, traceOf(1), 1, append([]string{streamSpan}, pipelineSpans...))
	i := slices.IndexFunc(spans, func(s *otlp.Span) bool { return s.GetName() == "offer rpc" })
	assert.Equal(t, parentOf(traceOf(1)), string(spans[i].GetParentSpanId()), "not under the stream's span, which ends with the stream")
}

func TestAStreamOfNoTraceBeginsOneABatch(t *testing.T) {
	to := newReceiver(t)
	s := exporting(t, to, "1")
	f, _ := join(t, s, faces())
	for n := range uint64(50) {
		f.observe(n+1, seen("a", 1, 0))
		f.ack(n + 1)
	}
	stop(t, s)
	traces := map[trace.TraceID][]*otlp.Span{}
	for _, span := range to.received() {
		traces[trace.TraceID(span.GetTraceId())] = append(traces[trace.TraceID(span.GetTraceId())], span)
	}
	assert.Len(t, traces, 51)
	for id, spans := range traces {
		if len(spans) == 1 {
			assert.Equal(t, streamSpan, spans[0].GetName())
			assert.Empty(t, spans[0].GetEvents(), "none a message: the stream may last")
			continue
		}
		checkWhole(t, spans, trace.NewSpanContext(trace.SpanContextConfig{TraceID: id}), 1, pipelineSpans)
		offer := spans[0]
		require.Len(t, offer.GetLinks(), 1)
		assert.Equal(t, streamSpan, traces[trace.TraceID(offer.GetLinks()[0].GetTraceId())][0].GetName())
	}
}

func TestACollectorThatIsGoneHoldsNoClientUp(t *testing.T) {
	to := newReceiver(t)
	s := exporting(t, to, "1")
	to.Close()
	client := memoryClient(t, s)
	began := time.Now()
	for range 100 {
		_, err := client.Observe(t.Context(), connect.NewRequest(&engramv1.ObserveRequest{Space: "faces", Observations: []*engramv1.Observation{seen("a", 1, 0)}}))
		require.NoError(t, err)
	}
	stop(t, s)
	assert.Less(t, time.Since(began), patience)
	assert.Empty(t, to.received())
}
