package transports

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/internal/memory"
)

func TestARecallRunsUnderTheTraceOfItsFrame(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, c := range map[string]struct{ traceparent, trace string }{
		"one":       {"00-" + id + "-00f067aa0ba902b7-01", id},
		"malformed": {"00-" + id + "-0-01", trace.TraceID{}.String()},
		"none":      {"", trace.TraceID{}.String()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				var under trace.SpanContext
				h.index.recall = func(ctx context.Context, _ memory.Query) (memory.Result, error) {
					under = trace.SpanContextFromContext(ctx)
					return memory.Result{}, nil
				}
				w, _ := h.open(t)
				frame := recallFrame(1)
				frame.GetRecall().Traceparent = c.traceparent
				w.in <- frame
				_, _, done := answers(w.frames())
				assert.Zero(t, done.GetCode(), done.GetReason())
				assert.Equal(t, c.trace, under.TraceID().String())
				close(w.in)
				assert.NoError(t, <-w.result)
			})
		})
	}
}
