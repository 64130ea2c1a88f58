package export

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func started(t *testing.T, s Settings) *Exports {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := New(s)
	require.NoError(t, err)
	e.Start()
	return e
}

// endSpans ends n spans and returns how long that took.
func endSpans(e *Exports, n int) time.Duration {
	tracer, began := e.TracerProvider().Tracer("test"), time.Now()
	for range n {
		_, span := tracer.Start(context.Background(), "span")
		span.End()
	}
	return time.Since(began)
}

// nobody returns the URL of a port where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String()
}

// hung returns a collector that takes requests and never answers.
func hung(t *testing.T) string {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() { close(over); s.Close() })
	return s.URL
}

// More spans than may wait, so that a queue that makes its writers wait would show.
const manySpans = 3 * queuedSpans

func TestACollectorThatIsDownHoldsNobodyUpAndIsComplainedOfOnce(t *testing.T) {
	for name, collector := range map[string]func(*testing.T) string{"nobody there": nobody, "hung": hung} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			e := started(t, Settings{Collector: collector(t), Sample: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			assert.Less(t, endSpans(e, manySpans), retryFor, "who ends a span does not wait for a sending")
			began := time.Now()
			e.Stop(t.Context())
			assert.Less(t, time.Since(began), flushTimeout+time.Second)
			assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
			assert.Contains(t, log.String(), "spans could not be sent and are lost")
			lost := e.Lost()
			assert.Equal(t, uint64(manySpans), lost.NoRoom+lost.NotSent, "each is counted: %+v", lost)
			assert.GreaterOrEqual(t, lost.NotSent, uint64(queuedSpans), "as many as may wait were tried")
		})
	}
}

func TestAStopWhoseTimeIsOverDoesNotWaitForTheCollector(t *testing.T) {
	e := started(t, Settings{Collector: hung(t), Sample: 1})
	endSpans(e, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	e.Stop(ctx)
	assert.Less(t, time.Since(began), flushTimeout)
}

// failing is an exporter that takes nothing.
type failing struct{}

func (failing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return errors.New("no") }
func (failing) Shutdown(context.Context) error                             { return nil }

func TestALineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSender(failing{}, "http://collector", slog.New(slog.NewTextHandler(&log, nil)))
		spans := make([]sdktrace.ReadOnlySpan, 3)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for range 150 {
			<-ticker.C
			assert.NoError(t, s.ExportSpans(t.Context(), spans))
		}
		s.abort()
		assert.Equal(t, 3, strings.Count(log.String(), "\n"))
		assert.Contains(t, log.String(), "lost_since_start=363", "of the third, in second 121")
	})
}

// gated is an exporter that waits before it takes what it is given.
type gated struct {
	began, gate chan struct{}
	taken       *int
}

func (g gated) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	g.began <- struct{}{}
	<-g.gate
	*g.taken += len(spans)
	return nil
}

func (gated) Shutdown(context.Context) error { return nil }

// What finds no room in the queue is counted and said, also when all that is sent arrives; what was never sampled is no loss.
func TestSpansThatFindNoRoomAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		to := gated{began: make(chan struct{}, 100), gate: make(chan struct{}), taken: new(int)}
		s := newSender(to, "http://collector", slog.New(slog.NewTextHandler(&log, nil)))
		provider := sdktrace.NewTracerProvider()
		road := &traces{sender: s, provider: provider, transport: &http.Transport{}}
		road.start()
		tracer := provider.Tracer("test")
		end := func(n int) {
			for range n {
				_, span := tracer.Start(t.Context(), "span")
				span.End()
			}
		}
		end(sentSpans)
		<-to.began // the first are being sent, so the queue is empty
		end(queuedSpans + 7)
		assert.Equal(t, Lost{NoRoom: 7}, s.lost())
		close(to.gate)
		road.stop(t.Context())
		assert.Equal(t, Lost{NoRoom: 7}, s.lost())
		assert.Equal(t, sentSpans+queuedSpans, *to.taken, "all others arrived")
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), "spans end faster than the collector takes them")
		assert.Contains(t, log.String(), "dropped_since_start=7")
	})
}

func TestTheServiceSaysItsVersionAndInstance(t *testing.T) {
	about, err := describe(Settings{Version: "v1.2.3", Instance: "i42"})
	require.NoError(t, err)
	said := about.String()
	assert.Contains(t, said, "service.version=v1.2.3")
	assert.Contains(t, said, "service.instance.id=i42")
	about, err = describe(Settings{})
	require.NoError(t, err)
	assert.NotContains(t, about.String(), "service.version")
	assert.NotContains(t, about.String(), "service.instance.id")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine")
	about, err = describe(Settings{Instance: "i42"})
	require.NoError(t, err)
	assert.Contains(t, about.String(), "service.instance.id=mine", "what the environment says wins")
}

func TestWhatIsKept(t *testing.T) {
	paths := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	t.Cleanup(s.Close)
	e := started(t, Settings{Collector: s.URL, Sample: 0})
	tracer := e.TracerProvider().Tracer("test")
	for flags, kept := range map[trace.TraceFlags]bool{0: false, trace.FlagsSampled: true} {
		of := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true})
		_, span := tracer.Start(trace.ContextWithSpanContext(t.Context(), of), "span")
		assert.Equal(t, kept, span.IsRecording())
		span.End()
	}
	_, span := tracer.Start(t.Context(), "of no client")
	assert.False(t, span.IsRecording())
	span.End()
	e.Stop(t.Context())
	assert.Equal(t, "/v1/traces", <-paths, "the usual path, where none is named")
}

func TestTheCollectorsPath(t *testing.T) {
	for address, want := range map[string]string{
		"http://c:4318": "http://c:4318/v1/traces", "http://c:4318/": "http://c:4318/v1/traces", "https://c/otlp": "https://c/otlp",
	} {
		got, err := tracesURL(address)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestNoEndsNoProviders(t *testing.T) {
	e := started(t, Settings{})
	assert.True(t, e.MeterProvider() == nil && e.TracerProvider() == nil && e.Page() == nil, "untyped nils")
	e.Stop(t.Context())
}

func TestTheEnvironmentNamesTheService(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "memory-of-shop")
	e := started(t, Settings{Metrics: true})
	t.Cleanup(func() { e.Stop(context.Background()) })
	counter, err := e.MeterProvider().Meter("test").Int64Counter("a.count", metric.WithUnit("{item}"))
	require.NoError(t, err)
	counter.Add(t.Context(), 3)
	w := httptest.NewRecorder()
	e.Page().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	assert.Contains(t, w.Body.String(), `service_name="memory-of-shop"`)
	assert.Contains(t, w.Body.String(), "a_count_total 3\n")
}

func TestAServiceThatIsDescribedWronglyIsRefused(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no equals sign")
	_, err := New(Settings{})
	assert.ErrorContains(t, err, "OTEL_RESOURCE_ATTRIBUTES is key=value,key=value")
}
