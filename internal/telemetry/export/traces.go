package export

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/engram-stream/engram/internal/fault"
)

const (
	// tracesPath is where a collector takes traces when its URL names no path.
	tracesPath = "/v1/traces"
	// Of the spans that have ended queuedSpans may wait, and go out sentSpans at a time, or each sendEvery. Beyond that
	// they are dropped: a trace is not worth a client's time.
	queuedSpans = 4096
	sentSpans   = 512
	sendEvery   = time.Second
	// sendTimeout bounds one sending with its retries, retryFor those.
	sendTimeout = 10 * time.Second
	retryFor    = 8 * time.Second
	// flushTimeout is the most that a stop waits for the collector.
	flushTimeout = 2 * time.Second
	// eventsASpan bounds what one span may hold, however long it lasts.
	eventsASpan = 32
)

// traces is the road of spans to the collector.
type traces struct {
	provider  *sdktrace.TracerProvider
	sender    *sender
	transport *http.Transport
}

func newTraces(s Settings, about *resource.Resource) (*traces, error) {
	address, err := tracesURL(s.Collector)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute}
	otlp, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(address),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: transport, Timeout: sendTimeout}),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: retryFor / 2, MaxElapsedTime: retryFor,
		}))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "the collector cannot be sent to").WithOp("telemetry").WithSubject(s.Collector)
	}
	sender := newSender(otlp, address, s.Logger)
	limits := sdktrace.NewSpanLimits()
	limits.EventCountLimit = eventsASpan
	return &traces{sender: sender, transport: transport, provider: sdktrace.NewTracerProvider(
		sdktrace.WithResource(about), sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(s.Sample))),
	)}, nil
}

// start begins to send. Before it, no span is recorded.
func (t *traces) start() {
	t.provider.RegisterSpanProcessor(queue{sender: t.sender, SpanProcessor: sdktrace.NewBatchSpanProcessor(
		t.sender, sdktrace.WithMaxQueueSize(queuedSpans), sdktrace.WithMaxExportBatchSize(sentSpans),
		sdktrace.WithBatchTimeout(sendEvery), sdktrace.WithExportTimeout(sendTimeout),
	)})
}

// tracesURL adds the usual path where none is named.
func tracesURL(collector string) (string, error) {
	u, err := url.Parse(collector)
	if err != nil {
		return "", fault.Wrap(fault.InvalidArgument, err, "the collector's address is no URL").WithOp("telemetry")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	return u.String(), nil
}

// stop sends what waits, for flushTimeout or until ctx is done, and joins the sender whatever became of it.
func (t *traces) stop(ctx context.Context) {
	// The SDK would not even begin under a context that is done.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, t.sender.abort)()
	_ = t.provider.Shutdown(flush) // its only failure is that time ran out, which the sender then tells
	t.sender.abort()
	<-t.sender.ended
	t.transport.CloseIdleConnections()
}
