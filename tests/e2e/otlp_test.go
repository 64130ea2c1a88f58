package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// collected is what a collector in the test's process got by OTLP over HTTP.
type collected struct {
	mu        sync.Mutex
	spans     []*otlp.Span        // guarded by mu
	resources []map[string]string // guarded by mu: the text attributes of each sender
}

func (c *collected) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var sent collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &sent) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range sent.GetResourceSpans() {
		about := map[string]string{}
		for _, a := range from.GetResource().GetAttributes() {
			about[a.GetKey()] = a.GetValue().GetStringValue()
		}
		c.resources = append(c.resources, about)
		for _, scope := range from.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// What the clients of the test name: a trace for a call, one for a frame, and the span of theirs above both.
const (
	callTrace   = "4bf92f3577b34da6a3ce929d0e0e4736"
	frameTrace  = "4bf92f3577b34da6a3ce929d0e0e4737"
	clientsSpan = "00f067aa0ba902b7"
)

func traceparent(of string) string { return "00-" + of + "-" + clientsSpan + "-01" }

// wholeTrace checks that a trace holds each step once, from the transport to the reply, and that each hangs under the
// client's span or another of them.
func (c *collected) wholeTrace(t *testing.T, id string, steps ...string) {
	t.Helper()
	steps = append(steps, "offer rpc", "stage decode", "stage sequence", "stage admit", "stage embed", "stage coalesce", "stage shard",
		"stage journal", "stage index", "stage notify", "stage replies")
	var names []string
	known := map[string]bool{clientsSpan: true}
	of := slices.DeleteFunc(slices.Clone(c.spans), func(s *otlp.Span) bool { return hex.EncodeToString(s.GetTraceId()) != id })
	for _, span := range of {
		known[hex.EncodeToString(span.GetSpanId())] = true
		sentOn := slices.ContainsFunc(span.GetAttributes(), func(a *common.KeyValue) bool { return a.GetKey() == "engram.flush" })
		if !sentOn { // a second one of coalesce, when it held the batch
			names = append(names, span.GetName())
		}
	}
	for _, span := range of {
		assert.True(t, known[hex.EncodeToString(span.GetParentSpanId())], "%s is an orphan", span.GetName())
	}
	assert.ElementsMatch(t, steps, names)
}

// TestAProcessSendsWholeTracesAndFlushesThemOnSIGTERM: a server in a process of its own sends what a call and a stream
// made of their clients' traces to a collector, the last of it when it is told to stop.
func TestAProcessSendsWholeTracesAndFlushesThemOnSIGTERM(t *testing.T) {
	got := &collected{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", got.take)
	to := httptest.NewServer(mux)
	t.Cleanup(to.Close)
	file := filepath.Join(t.TempDir(), "pipeline.yaml")
	require.NoError(t, os.WriteFile(file, []byte("version: 1\ntelemetry: { traces: { otlp: \""+to.URL+"\", sample: 0 } }\n"), 0o600))
	s := start(t, t.TempDir(), "--config", file)

	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	h := &http.Client{Transport: transport}
	observations := []*engramv1.Observation{{Content: "a", Embedding: []float32{1, 0}}, {Content: "b", Embedding: []float32{0, 1}}}
	call := connect.NewRequest(&engramv1.ObserveRequest{Space: "faces", Observations: observations})
	call.Header().Set("Traceparent", traceparent(callTrace))
	_, err := engramv1connect.NewMemoryServiceClient(h, "http://"+s.address).Observe(t.Context(), call)
	require.NoError(t, err)

	stream := engramv1connect.NewFlowServiceClient(h, "http://"+s.address).MemoryFlow(t.Context())
	require.NoError(t, stream.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{Space: "faces"}}}))
	require.NoError(t, stream.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: &engramv1.ObserveBatch{
		FirstSequence: 1, Observations: observations, Traceparent: traceparent(frameTrace),
	}}}))
	instance := ""
	for committed := uint64(0); committed < 2; {
		m, err := stream.Receive()
		require.NoError(t, err)
		committed = m.GetAck().GetCommittedThrough()
		instance += m.GetWelcome().GetServerInstance()
	}
	require.NoError(t, s.stop()) // by SIGTERM, at once: within the second after which waiting spans are sent anyway

	got.mu.Lock()
	defer got.mu.Unlock()
	got.wholeTrace(t, callTrace, "engram.v1.MemoryService/Observe")
	got.wholeTrace(t, frameTrace)
	require.NotEmpty(t, got.resources)
	for _, about := range got.resources {
		assert.Equal(t, "engram", about["service.name"])
		assert.NotEmpty(t, about["service.version"])
		assert.Equal(t, instance, about["service.instance.id"], "as the Welcome names it")
	}
}
