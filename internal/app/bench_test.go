package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

const (
	benchItems = 100 // observations a frame
	benchAhead = 16  // frames on their way
	benchWidth = 128 // components
)

// cpu returns the processor time that this process has used, which a busy machine changes less than the time of the
// clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// measured runs the benchmark's loop and reports its processor time beside that of the clock.
func measured(b *testing.B, each func()) {
	b.Helper()
	began := cpu(b)
	for b.Loop() {
		each()
	}
	b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/op")
}

func benchServer(b *testing.B, overrides ...config.Override) (*Server, *http.Client) {
	b.Helper()
	s, err := New(Config{
		Overrides: append([]config.Override{flag("listen", "127.0.0.1:0"), flag("data", b.TempDir())}, overrides...),
		LookupEnv: noEnvironment,
	})
	require.NoError(b, err)
	require.NoError(b, s.Start(b.Context()))
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(b, s.Stop(context.Background()))
	})
	return s, &http.Client{Transport: transport}
}

func benchVector(n int) []float32 {
	v := make([]float32, benchWidth)
	v[n%benchWidth], v[(n/benchWidth)%benchWidth] = 1, 0.5
	return v
}

// stream sends frames of benchItems, each under no trace, benchAhead of them before the first is acked.
func stream(b *testing.B, s *Server, h *http.Client) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	flow := engramv1connect.NewFlowServiceClient(h, "http://"+s.Address(), connect.WithGRPC()).MemoryFlow(ctx)
	require.NoError(b, flow.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: faces()}}))
	batch := make([]*engramv1.Observation, benchItems)
	for i := range batch {
		batch[i] = &engramv1.Observation{MemoryId: string(rune('a' + i)), Embedding: benchVector(i)} // overwritten each time: the space stays small
	}
	sent, acked := uint64(0), uint64(0)
	measured(b, func() {
		require.NoError(b, flow.Send(observeFrame(sent*benchItems+1, batch...)))
		for sent++; acked+benchAhead*benchItems < sent*benchItems; {
			m, err := flow.Receive()
			require.NoError(b, err)
			require.Nil(b, m.GetNack())
			acked = max(acked, m.GetAck().GetCommittedThrough())
		}
	})
	b.ReportMetric(float64(benchItems*b.N)/b.Elapsed().Seconds(), "observations/s")
}

// recalls makes unary recalls of a small space, where the call itself is most of the cost.
func recalls(b *testing.B, s *Server, h *http.Client) {
	b.Helper()
	client := engramv1connect.NewMemoryServiceClient(h, "http://"+s.Address(), connect.WithGRPC())
	_, err := client.Observe(b.Context(), connect.NewRequest(&engramv1.ObserveRequest{
		Space: "faces", Observations: []*engramv1.Observation{seen("a", benchVector(1)...)},
	}))
	require.NoError(b, err)
	query := &engramv1.RecallRequest{Space: "faces", Query: &engramv1.RecallQuery{Embedding: benchVector(1), Limit: 1}}
	measured(b, func() {
		_, err := client.Recall(b.Context(), connect.NewRequest(query))
		require.NoError(b, err)
	})
}

// BenchmarkTelemetry is what metrics and traces cost a whole server, its client in the same process.
func BenchmarkTelemetry(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Cleanup(collector.Close)
	for _, work := range []struct {
		name string
		run  func(*testing.B, *Server, *http.Client)
	}{{"stream", stream}, {"recall", recalls}} {
		for _, c := range []struct {
			name      string
			overrides []config.Override
		}{
			{"off", []config.Override{flag("telemetry.metrics", "")}},
			{"metrics", nil},
			{"metrics and 1% of traces", []config.Override{flag("telemetry.traces.otlp", collector.URL)}},
			{"metrics and all traces", []config.Override{
				flag("telemetry.traces.otlp", collector.URL), flag("telemetry.traces.sample", "1"),
			}},
		} {
			b.Run(work.name+"/"+c.name, func(b *testing.B) {
				s, h := benchServer(b, c.overrides...)
				work.run(b, s, h)
			})
		}
	}
}
