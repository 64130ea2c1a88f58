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

	waiting atomic.Int64  // spans in the SDK's queue
	dropped atomic.Uint64 // spans that found no room there
	failed  atomic.Uint64 // spans that could not be sent

	// Of the last complaint. ExportSpans is never called concurrently, by its contract.
	complained time.Time
	said       Lost
}

// Lost counts the spans that were kept and did not reach the collector, since the start.
type Lost struct {
	NoRoom  uint64 // more ended than may wait
	NotSent uint64 // the collector did not take them
}

func newSender(to sdktrace.SpanExporter, address string, log *slog.Logger) *sender {
	s := &sender{SpanExporter: to, address: address, log: log, ended: make(chan struct{})}
	s.ctx, s.abort = context.WithCancel(context.Background())
	return s
}

// ExportSpans never fails: what was lost is counted and logged.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.waiting.Add(-int64(len(spans)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := s.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		s.failed.Add(uint64(len(spans)))
	}
	s.complain(err)
	return nil
}

// complain says what was lost since the last complaint, unless that was a short while ago.
func (s *sender) complain(err error) {
	lost, now := s.lost(), time.Now()
	if lost == s.said || now.Sub(s.complained) < complainEvery {
		return
	}
	message := "spans could not be sent and are lost; nothing else is held up"
	if lost.NotSent == s.said.NotSent {
		message = "spans end faster than the collector takes them, and some are lost; nothing else is held up"
	}
	s.complained, s.said = now, lost
	about := []any{"collector", s.address, "lost_since_start", lost.NotSent, "dropped_since_start", lost.NoRoom}
	if err != nil {
		about = append(about, "error", err)
	}
	s.log.Warn(message, about...)
}

func (s *sender) lost() Lost { return Lost{NoRoom: s.dropped.Load(), NotSent: s.failed.Load()} }

// queue is the SDK's queue, whose drops nobody can count, behind a bound that is no larger: what is beyond it is counted
// and never gets there.
type queue struct {
	sdktrace.SpanProcessor
	sender *sender
}

// OnEnd implements sdktrace.SpanProcessor.
func (q queue) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if q.sender.waiting.Add(1) > queuedSpans {
		q.sender.waiting.Add(-1)
		q.sender.dropped.Add(1)
		return
	}
	q.SpanProcessor.OnEnd(span)
}

// Shutdown is called by the SDK when its last ExportSpans has returned, once.
func (s *sender) Shutdown(ctx context.Context) error {
	defer close(s.ended)
	return s.SpanExporter.Shutdown(ctx)
}
