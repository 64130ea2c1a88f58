package export

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// complainEvery is how often a collector that does not take spans is complained of.
const complainEvery = time.Minute

// sender stands between the SDK's queue and the exporter. It keeps failures from the SDK's error handler, which is one
// for the whole process and writes a line each, and lets a stop break a sending off.
type sender struct {
	sdktrace.SpanExporter
	address string
	log     *slog.Logger

	ctx   context.Context // ends with abort
	abort context.CancelFunc
	ended chan struct{} // closed once nothing is sent any more

	lost       atomic.Uint64 // spans that could not be sent
	complained time.Time     // when last; ExportSpans is never called concurrently, by its contract
}

func newSender(to sdktrace.SpanExporter, address string, log *slog.Logger) *sender {
	s := &sender{SpanExporter: to, address: address, log: log, ended: make(chan struct{})}
	s.ctx, s.abort = context.WithCancel(context.Background())
	return s
}

// ExportSpans never fails: what was lost is counted and logged.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if err := s.SpanExporter.ExportSpans(ctx, spans); err != nil {
		lost := s.lost.Add(uint64(len(spans)))
		if now := time.Now(); now.Sub(s.complained) >= complainEvery {
			s.complained = now
			s.log.Warn("spans could not be sent and are lost; nothing else is held up", "collector", s.address,
				"lost_since_start", lost, "error", err)
		}
	}
	return nil
}

// Shutdown is called by the SDK when its last ExportSpans has returned, once.
func (s *sender) Shutdown(ctx context.Context) error {
	defer close(s.ended)
	return s.SpanExporter.Shutdown(ctx)
}
