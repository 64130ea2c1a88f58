package app

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/internal/telemetry"
	"github.com/engram-stream/engram/internal/telemetry/export"
	"github.com/engram-stream/engram/transports"
)

// reports are a server's telemetry: what measures it, and where that goes. Immutable.
type reports struct {
	*telemetry.Telemetry
	exports *export.Exports
	stages  *telemetry.Stages
	edge    connect.Interceptor // nil: calls are not measured
	recalls *telemetry.Recalls  // nil: recalls are not measured
}

// newReports makes the ends that the pipeline names, but those for which c brings a provider.
func newReports(c Config, s config.Telemetry, instance string) (r reports, err error) {
	r.stages = &telemetry.Stages{}
	ends := export.Settings{
		Metrics: s.Metrics != "", Producer: r.stages, Collector: s.Traces.OTLP, Sample: s.Traces.Sample,
		Version: c.Version, Instance: instance, Logger: c.Logger,
	}
	if c.MeterProvider != nil {
		ends.Metrics = false
	}
	if c.TracerProvider != nil {
		ends.Collector = ""
	}
	if r.exports, err = export.New(ends); err != nil {
		return r, err
	}
	r.Telemetry = telemetry.New(firstOf[trace.TracerProvider](c.TracerProvider, r.exports.TracerProvider()),
		firstOf[metric.MeterProvider](c.MeterProvider, r.exports.MeterProvider()))
	var failed, failedToo error
	r.edge, failed = r.RPC()
	r.recalls, failedToo = r.Recalls()
	if err := errors.Join(failed, failedToo); err != nil {
		return r, telemetryFault(err)
	}
	return r, nil
}

func firstOf[T comparable](a, b T) T {
	var none T
	if a != none {
		return a
	}
	return b
}

func telemetryFault(err error) error {
	return fault.Wrap(fault.InvalidArgument, err, "the meter provider refuses an instrument").WithOp("telemetry").
		WithHint("give the server another MeterProvider, or none")
}

// mount adds the page of metrics, if there is one.
func (r reports) mount(mux *http.ServeMux, path string) {
	if page := r.exports.Page(); page != nil {
		mux.Handle("GET "+path, page)
	}
}

// takenPage finds a page of metrics that would stand where another does.
func takenPage(p *config.Pipeline) (found graph.Diagnostics) {
	switch path := p.Telemetry.Metrics; path {
	case livePage, healthPage, readyPage:
		found = append(found, graph.Diagnostic{
			Pos: p.Origin("telemetry.metrics").Pos, Message: "telemetry.metrics: " + path + " is the page that says whether the server is up",
			Hint: "such as /metrics",
		})
	}
	return found
}

// reading is what the metrics are read from.
func (s *Server) reading(ctx context.Context) telemetry.Reading {
	lost := s.reports.exports.Lost()
	r := telemetry.Reading{Graph: s.engine.Stats(), SpansLost: []telemetry.Count{{Of: "no_room", N: lost.NoRoom}, {Of: "not_sent", N: lost.NotSent}}}
	if s.state.current() == starting {
		return r
	}
	journal, err := graph.Service[transports.Journal](s.engine)
	if err != nil {
		return r // a pipeline without a journal has no sessions either
	}
	index, err := graph.Service[transports.Index](s.engine)
	if err != nil {
		return r // nor has one without an index anything to tell
	}
	committed, attached, detached := journal.JournalStats()
	tally, load := s.hub.SettledTally(ctx), s.hub.Load()
	r.Server = &telemetry.ServerReading{
		Verdicts: verdicts(tally), InFlight: tally.InFlight, Committed: committed,
		Sessions: []telemetry.Count{{Of: "attached", N: uint64(attached)}, {Of: "detached", N: uint64(detached)}},
		Streams:  load.Streams, Calls: load.Calls, AnswerBytes: load.AnswerBytes,
		Index: indexReading(index.Stats()),
	}
	return r
}

func indexReading(s memory.IndexStats) telemetry.IndexReading {
	return telemetry.IndexReading{
		Merges: []telemetry.Count{{Of: "success", N: s.Merges}, {Of: "failure", N: s.FailedMerges}},
		Merged: s.Merged, Removed: s.Removed, Rebuilt: s.Rebuilt, Merging: s.Merging, Waits: s.Waits, Waited: s.Waited,
		Spaces: []telemetry.Count{
			{Of: "graphed", N: uint64(s.GraphedSpaces)},
			{Of: "scanned", N: uint64(s.ScannedSpaces)},
			{Of: "unloaded", N: uint64(s.UnloadedSpaces)},
			{Of: "degraded", N: uint64(s.DegradedSpaces)},
		},
		Vectors: []telemetry.Count{{Of: "graphed", N: s.Graphed}, {Of: "scanned", N: s.Scanned}},
		Bytes: []telemetry.Count{
			{Of: "codes", N: s.Codes},
			{Of: "graphs", N: s.Graphs},
			{Of: "records", N: s.Records},
			{Of: "ids", N: s.IDs},
			{Of: "unloaded", N: s.Unloaded},
		},
		Behind: s.Behind, MostBehind: s.MostBehind,
	}
}

func verdicts(t session.Tally) []telemetry.Count {
	return []telemetry.Count{
		{Of: "accepted", N: t.Accepted},
		{Of: "duplicate", N: t.Duplicate},
		{Of: "nacked", N: t.Nacked},
		{Of: "rejected", N: t.Rejected},
		{Of: "superseded", N: t.Superseded},
		{Of: "aborted", N: t.Aborted},
	}
}
