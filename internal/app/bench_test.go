package app

import (
	"context"
	"math"
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

// sender sends frames of benchItems over a stream of its own, each under no trace, benchAhead of them before the first is
// acked.
type sender struct {
	b           *testing.B
	flow        *connect.BidiStreamForClient[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]
	frame       []*engramv1.Observation
	sent, acked uint64 // frames, observations
}

func newSender(b *testing.B, s *Server, h *http.Client, hello *engramv1.Hello) *sender {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	flow := engramv1connect.NewFlowServiceClient(h, "http://"+s.Address(), connect.WithGRPC()).MemoryFlow(ctx)
	require.NoError(b, flow.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: hello}}))
	frame := make([]*engramv1.Observation, benchItems)
	for i := range frame {
		frame[i] = &engramv1.Observation{MemoryId: string(rune('a' + i)), Embedding: benchVector(i)} // overwritten each time: the space stays small
	}
	return &sender{b: b, flow: flow, frame: frame}
}

func (s *sender) items() uint64 { return uint64(len(s.frame)) }

func (s *sender) send() {
	require.NoError(s.b, s.flow.Send(observeFrame(s.sent*s.items()+1, s.frame...)))
	s.sent++
	s.wait(s.sent - min(s.sent, benchAhead))
}

// wait waits until so many frames are acked.
func (s *sender) wait(frames uint64) {
	for s.acked < frames*s.items() {
		m, err := s.flow.Receive()
		require.NoError(s.b, err)
		require.Nil(s.b, m.GetNack())
		s.acked = max(s.acked, m.GetAck().GetCommittedThrough())
	}
}

func stream(b *testing.B, s *Server, h *http.Client) {
	b.Helper()
	sender := newSender(b, s, h, faces())
	measured(b, sender.send)
	b.ReportMetric(float64(benchItems*b.N)/b.Elapsed().Seconds(), "observations/s")
}

// recall returns what makes a unary recall of a small space, where the call itself is most of the cost.
func recall(b *testing.B, s *Server, h *http.Client) func() {
	b.Helper()
	client := engramv1connect.NewMemoryServiceClient(h, "http://"+s.Address(), connect.WithGRPC())
	_, err := client.Observe(b.Context(), connect.NewRequest(&engramv1.ObserveRequest{
		Space: "faces", Observations: []*engramv1.Observation{seen("a", benchVector(1)...)},
	}))
	require.NoError(b, err)
	query := &engramv1.RecallRequest{Space: "faces", Query: &engramv1.RecallQuery{Embedding: benchVector(1), Limit: 1}}
	return func() {
		_, err := client.Recall(b.Context(), connect.NewRequest(query))
		require.NoError(b, err)
	}
}

func recalls(b *testing.B, s *Server, h *http.Client) {
	b.Helper()
	measured(b, recall(b, s, h))
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

// BenchmarkTelemetryCost compares two servers of one process, with and without, that work in turn for some 20 ms each: what
// else the machine does slows both. It reports what is added to the processor time, and the standard error of that.
func BenchmarkTelemetryCost(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Cleanup(collector.Close)
	for _, work := range []struct {
		name string
		turn func(*testing.B, *Server, *http.Client) func()
	}{{"stream", func(b *testing.B, s *Server, h *http.Client) func() {
		sender := newSender(b, s, h, faces())
		return func() {
			for range 2 * benchAhead {
				sender.send()
			}
			sender.wait(sender.sent)
		}
	}}, {"recall", func(b *testing.B, s *Server, h *http.Client) func() {
		call := recall(b, s, h)
		return func() {
			for range 64 {
				call()
			}
		}
	}}} {
		for _, c := range []struct {
			name      string
			overrides []config.Override
		}{
			{"off", []config.Override{flag("telemetry.metrics", "")}}, // against itself: what the measurement can tell apart
			{"metrics", nil},
			{"metrics and 1% of traces", []config.Override{flag("telemetry.traces.otlp", collector.URL)}},
		} {
			b.Run(work.name+"/"+c.name, func(b *testing.B) {
				var turns [2]func()
				for i, overrides := range [][]config.Override{{flag("telemetry.metrics", "")}, c.overrides} {
					s, h := benchServer(b, overrides...)
					turns[i] = work.turn(b, s, h)
				}
				compare(b, turns)
			})
		}
	}
}

// compare runs two turns, changing which is first, and reports what the second costs more, in percent.
func compare(b *testing.B, turns [2]func()) {
	var spent [2]float64
	var added, squares float64
	for n := 0; b.Loop(); n++ {
		var took [2]float64
		for i := range turns {
			which := (i + n) % 2
			began := cpu(b)
			turns[which]()
			took[which] = float64(cpu(b) - began)
			spent[which] += took[which]
		}
		added += took[1] - took[0]
		squares += (took[1] - took[0]) * (took[1] - took[0])
	}
	n := float64(b.N)
	spread := math.Sqrt(max(squares-added*added/n, 0) / max(n-1, 1))
	b.ReportMetric(100*(spent[1]/spent[0]-1), "added-%")
	b.ReportMetric(100*spread*math.Sqrt(n)/spent[0], "error-%")
}
