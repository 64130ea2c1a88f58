package export

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/internal/fault"
)

// maxScrapes is how many readers of the page are served at once; more are told to come again.
const maxScrapes = 4

// Settings say which ends there are.
type Settings struct {
	Metrics   bool               // a page of metrics
	Producer  sdkmetric.Producer // of metrics that no instrument makes; nil: none
	Collector string             // URL of a collector that takes OTLP over HTTP; empty: no traces
	Sample    float64            // the part kept of what no client named a trace for, 0 to 1
	Version   string             // of this build; empty: not told
	Instance  string             // names this start of the server; empty: not told
	Logger    *slog.Logger
}

// Exports are the ends of a server's telemetry. Safe for concurrent use.
type Exports struct {
	meters *sdkmetric.MeterProvider // nil: no metrics
	page   http.Handler             // nil as meters
	traces *traces                  // nil: no traces
}

// New starts nothing and opens no connection.
func New(s Settings) (*Exports, error) {
	about, err := describe(s)
	if err != nil {
		return nil, err
	}
	e := &Exports{}
	if s.Metrics {
		if err := e.measure(about, s.Producer); err != nil {
			return nil, err
		}
	}
	if s.Collector != "" {
		if e.traces, err = newTraces(s, about); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// describe says who is measured. What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
func describe(s Settings) (*resource.Resource, error) {
	own := []attribute.KeyValue{attribute.String("service.name", "engram")}
	if s.Version != "" {
		own = append(own, attribute.String("service.version", s.Version))
	}
	if s.Instance != "" {
		own = append(own, attribute.String("service.instance.id", s.Instance))
	}
	about, err := resource.New(context.Background(),
		resource.WithAttributes(own...), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "the environment describes this server wrongly").WithOp("telemetry").
			WithHint("OTEL_RESOURCE_ATTRIBUTES is key=value,key=value")
	}
	return about, nil
}

func (e *Exports) measure(about *resource.Resource, producer sdkmetric.Producer) error {
	registry := prometheus.NewRegistry()
	options := []otelprometheus.Option{otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo()}
	if producer != nil {
		options = append(options, otelprometheus.WithProducer(producer))
	}
	reader, err := otelprometheus.New(options...)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the page of metrics cannot be made").WithOp("telemetry")
	}
	e.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(about),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter)) // the page's format has no place for them
	e.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
	return nil
}

// MeterProvider returns nil when there are no metrics.
func (e *Exports) MeterProvider() metric.MeterProvider {
	if e.meters == nil {
		return nil
	}
	return e.meters
}

// TracerProvider returns nil when there are no traces.
func (e *Exports) TracerProvider() trace.TracerProvider {
	if e.traces == nil {
		return nil
	}
	return e.traces.provider
}

// Lost counts the spans that did not reach the collector; none when there are no traces.
func (e *Exports) Lost() Lost {
	if e.traces == nil {
		return Lost{}
	}
	return e.traces.sender.lost()
}

// Page serves the metrics in Prometheus' format; nil when there are none.
func (e *Exports) Page() http.Handler { return e.page }

// Start begins to send. It is called once, and Stop must follow.
func (e *Exports) Start() {
	if e.traces != nil {
		e.traces.start()
	}
}

// Stop sends the spans that are left, within flushTimeout and ctx, and joins what runs. It is called once.
func (e *Exports) Stop(ctx context.Context) {
	if e.traces != nil {
		e.traces.stop(ctx)
	}
	if e.meters != nil {
		_ = e.meters.Shutdown(ctx) // its reader is only ever asked, so nothing is left to be done
	}
}
