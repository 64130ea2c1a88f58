package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/engram-stream/engram/graph"
)

// Reading is a server at one moment.
type Reading struct {
	Graph     graph.Stats
	SpansLost []Count        // since the start, by cause
	Server    *ServerReading // nil while it starts
}

// ServerReading is what a server knows beside its graph.
type ServerReading struct {
	Verdicts    []Count // what became of what was received since the start
	InFlight    uint64  // received, without a verdict
	Committed   uint64  // ops in the journal, over all starts
	Sessions    []Count // now, by state
	Streams     int     // open now
	Calls       int     // unary calls at work now
	AnswerBytes int64   // held by answers that clients have not taken
	Index       IndexReading
}

// Count is a number with the word that tells it from its neighbours.
type Count struct {
	Of string
	N  uint64
}

// gauges are the instruments of Watch.
type gauges struct {
	edgeItems, edgeBytes, edgeWindowItems, edgeWindowBytes       metric.Int64ObservableGauge
	budgetItems, budgetBytes, budgetLimitItems, budgetLimitBytes metric.Int64ObservableGauge
	stageItems, verdicts, committed, spansLost                   metric.Int64ObservableCounter
	inFlight, sessions, streams, calls, answerBytes              metric.Int64ObservableGauge
	edgeKeys, edgeKeyItems, workerItems                          metric.Int64ObservableGauge
	workerTakenOver                                              metric.Int64ObservableCounter
	workerBusy                                                   metric.Float64ObservableCounter
	index                                                        indexGauges
}

// Watch reports what read returns whenever metrics are read, until stop is called. read must be safe for concurrent
// use. Without a meter it is never called. The error says that the provider refused an instrument.
func (t *Telemetry) Watch(read func(context.Context) Reading) (stop func() error, err error) {
	if t.meter == nil {
		return func() error { return nil }, nil
	}
	g, all, err := newGauges(t.meter)
	if err != nil {
		return nil, err
	}
	index, ofIndex, err := newIndexGauges(t.meter)
	if err != nil {
		return nil, err
	}
	g.index, all = index, append(all, ofIndex...)
	watch, err := t.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		g.observe(o, read(ctx))
		return nil
	}, all...)
	if err != nil {
		return nil, err
	}
	return watch.Unregister, nil
}

func newGauges(meter metric.Meter) (g gauges, all []metric.Observable, err error) {
	var errs []error
	for _, i := range []struct {
		gauge                   *metric.Int64ObservableGauge
		name, unit, description string
	}{
		{&g.edgeItems, EdgeItems, "{item}", "Items queued in front of a stage."},
		{&g.edgeBytes, EdgeBytes, "By", "Weight of the items queued in front of a stage."},
		{&g.edgeWindowItems, EdgeWindowItems, "{item}", "The most items that may queue in front of a stage."},
		{&g.edgeWindowBytes, EdgeWindowBytes, "By", "The most weight that may queue in front of a stage."},
		{&g.edgeKeys, EdgeKeys, "{space}", "Spaces of which something is queued in front of a stage, or run by it."},
		{&g.edgeKeyItems, EdgeKeyItems, "{item}", "Items queued in front of a stage of the space that has the most there."},
		{&g.workerItems, WorkerItems, "{item}", "Items queued for a worker of a stage."},
		{&g.budgetItems, BudgetItems, "{item}", "Items in memory on their way to being durable and findable."},
		{&g.budgetBytes, BudgetBytes, "By", "Weight of the items in memory."},
		{&g.budgetLimitItems, BudgetLimitItems, "{item}", "The most items that may be in memory."},
		{&g.budgetLimitBytes, BudgetLimitBytes, "By", "The most weight that may be in memory."},
		{&g.inFlight, InFlight, "{item}", "Items received that have no verdict yet."},
		{&g.sessions, Sessions, "{session}", "Sessions, by whether a stream serves them."},
		{&g.streams, Streams, "{stream}", "Open streams."},
		{&g.calls, Calls, "{call}", "Unary calls at work, those of operators not counted."},
		{&g.answerBytes, AnswerBytes, "By", "Memory held by answers that their clients have not taken yet."},
	} {
		*i.gauge, err = meter.Int64ObservableGauge(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
		errs, all = append(errs, err), append(all, *i.gauge)
	}
	g.stageItems, err = meter.Int64ObservableCounter(StageItems, metric.WithUnit("{item}"),
		metric.WithDescription("Items offered by a source or handed to a stage, by how the call ended."))
	errs = append(errs, err)
	g.verdicts, err = meter.Int64ObservableCounter(Verdicts, metric.WithUnit("{item}"),
		metric.WithDescription("What became of the items received since the start: each has one verdict."))
	errs = append(errs, err)
	g.committed, err = meter.Int64ObservableCounter(Committed, metric.WithUnit("{op}"),
		metric.WithDescription("Ops in the journal, over all starts of the server."))
	errs = append(errs, err)
	g.workerTakenOver, err = meter.Int64ObservableCounter(WorkerTakenOver, metric.WithUnit("{space}"),
		metric.WithDescription("Spaces that a worker took over from another, with all that was queued of them."))
	errs = append(errs, err)
	g.workerBusy, err = meter.Float64ObservableCounter(WorkerBusy, metric.WithUnit("s"),
		metric.WithDescription("Time that a worker of a stage had a batch in hand, waits for room behind it included."))
	errs = append(errs, err)
	g.spansLost, err = meter.Int64ObservableCounter(SpansLost, metric.WithUnit("{span}"),
		metric.WithDescription("Spans that were kept and did not reach the collector, by the cause."))
	return g, append(all, g.stageItems, g.verdicts, g.committed, g.spansLost, g.workerTakenOver, g.workerBusy), errors.Join(append(errs, err)...)
}

func (g *gauges) observe(o metric.Observer, r Reading) {
	eachEnded(r.Graph, func(attrs attribute.Set, _ graph.NodeStats, ended graph.CallStats) {
		o.ObserveInt64(g.stageItems, int64(ended.Items), metric.WithAttributeSet(attrs))
	})
	for _, edge := range r.Graph.Edges {
		to := metric.WithAttributes(AttrStage.String(edge.To))
		o.ObserveInt64(g.edgeItems, int64(edge.Depth.Items), to)
		o.ObserveInt64(g.edgeBytes, edge.Depth.Bytes, to)
		o.ObserveInt64(g.edgeWindowItems, int64(edge.Window.Items), to)
		o.ObserveInt64(g.edgeWindowBytes, edge.Window.Bytes, to)
		o.ObserveInt64(g.edgeKeys, int64(edge.Keys), to)
		o.ObserveInt64(g.edgeKeyItems, int64(edge.Deepest.Items), to)
	}
	for _, n := range r.Graph.Nodes {
		g.observeWorkers(o, n)
	}
	o.ObserveInt64(g.budgetItems, int64(r.Graph.Budget.Items))
	o.ObserveInt64(g.budgetBytes, r.Graph.Budget.Bytes)
	o.ObserveInt64(g.budgetLimitItems, int64(r.Graph.Limit.Items))
	o.ObserveInt64(g.budgetLimitBytes, r.Graph.Limit.Bytes)
	observeEach(o, g.spansLost, AttrCause, r.SpansLost)
	if r.Server != nil {
		g.observeServer(o, r.Server)
	}
}

func (g *gauges) observeWorkers(o metric.Observer, n graph.NodeStats) {
	for i, d := range n.Desks {
		of := metric.WithAttributes(AttrStage.String(n.Name), AttrWorker.Int(i))
		o.ObserveInt64(g.workerItems, int64(d.Depth.Items), of)
		o.ObserveInt64(g.workerTakenOver, int64(d.TakenOver), of)
		o.ObserveFloat64(g.workerBusy, d.Busy.Seconds(), of)
	}
}

func (g *gauges) observeServer(o metric.Observer, r *ServerReading) {
	observeEach(o, g.verdicts, AttrVerdict, r.Verdicts)
	observeEach(o, g.sessions, AttrState, r.Sessions)
	o.ObserveInt64(g.inFlight, int64(r.InFlight))
	o.ObserveInt64(g.committed, int64(r.Committed))
	o.ObserveInt64(g.streams, int64(r.Streams))
	o.ObserveInt64(g.calls, int64(r.Calls))
	o.ObserveInt64(g.answerBytes, r.AnswerBytes)
	g.index.observe(o, &r.Index)
}

func observeEach(o metric.Observer, in metric.Int64Observable, key attribute.Key, counts []Count) {
	for _, c := range counts {
		o.ObserveInt64(in, int64(c.N), metric.WithAttributes(key.String(c.Of)))
	}
}
