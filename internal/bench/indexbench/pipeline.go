package indexbench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/index"
)

// The limits of a measurement's graph.
const (
	inFlight       = 4 // batches on their way into the index at full speed
	budgetItems    = 1 << 16
	budgetBytes    = 4 << 30
	recallsAtOnce  = 2
	recallsWaiting = 64
)

// recaller is what the index exports.
type recaller interface {
	Recall(ctx context.Context, space string, q memory.Query) (memory.Result, error)
}

// pipeline is an index in a graph, with the journal under it. One goroutine writes, any number recall.
type pipeline struct {
	journal *journal
	engine  *graph.Engine
	inlet   graph.Inlet[session.Appended]
	service recaller
	from    *session.Attachment

	graphFrom int // vectors that a graph is built from; 0: there is none

	free     chan struct{} // a place for each batch in flight
	findable atomic.Int64  // ops that are
	failed   atomic.Pointer[error]
}

// begin starts an index that is empty; room is how many ops are to come. The caller ends it.
func begin(ctx context.Context, c Config, room int) (*pipeline, error) {
	p := &pipeline{
		journal: newJournal(c.Rows, c.Metric, room), free: make(chan struct{}, inFlight),
		from: &session.Attachment{SessionID: spaceName, Space: spaceName, Epoch: 1, Window: session.NewWindow(1)},
	}
	registry := kinds()
	settings := registry.Lookup(graph.RoleStage, indexName).NewConfig().(*index.Config)
	if c.Tune != nil {
		c.Tune(settings)
	}
	p.graphFrom = settings.GraphFrom
	engine, found := wiring(settings).Build(registry, graph.Options{Provide: []any{p.journal, limits{}}})
	if len(found) > 0 {
		return nil, fault.Wrap(fault.Internal, found[0], "the graph of a measurement does not fit together")
	}
	p.engine = engine
	service, err := graph.Service[recaller](engine)
	if err != nil {
		return nil, err
	}
	p.service, p.inlet = service, engine.Endpoints()[sourceName].(graph.Inlet[session.Appended])
	return p, engine.Start(ctx)
}

// end stops it, after everything has become findable.
func (p *pipeline) end(ctx context.Context) error {
	_, err := p.engine.Drain(ctx)
	return err
}

// write offers ops and returns when there is a place for more; sync waits until all are findable.
func (p *pipeline) write(ctx context.Context, items []session.Appended) error {
	select {
	case p.free <- struct{}{}:
	case <-ctx.Done():
		return fault.GaveUp(ctx.Err(), "").WithOp("insert")
	}
	weights := make([]int32, len(items))
	for i := range items {
		if o := items[i].Observe; o != nil {
			weights[i] = int32(4 * len(o.Vector))
		}
	}
	b := &batch{pipeline: p}
	b.left.Store(int64(len(items)))
	return p.inlet.Offer(ctx, graph.Offer[session.Appended]{Items: items, Bytes: weights, Settler: b})
}

// sync returns when all that was written is findable, or why it is not.
func (p *pipeline) sync(ctx context.Context) error {
	for range inFlight {
		select {
		case p.free <- struct{}{}:
		case <-ctx.Done():
			return fault.GaveUp(ctx.Err(), "").WithOp("insert")
		}
	}
	for range inFlight {
		<-p.free
	}
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// batch learns when its items are findable.
type batch struct {
	pipeline *pipeline
	left     atomic.Int64
}

// Settle implements graph.Settler.
func (b *batch) Settle(_ int, o graph.Outcome) {
	if o.Err != nil {
		b.pipeline.failed.CompareAndSwap(nil, &o.Err)
	}
	b.pipeline.findable.Add(1)
	if b.left.Add(-1) == 0 {
		<-b.pipeline.free
	}
}

// The graph of a measurement.
const (
	sourceName = "inserts"
	creditName = "credit"
	indexName  = "index"
	sinkName   = "done"
)

// wiring is a graph around the index.
func wiring(settings *index.Config) *graph.Spec {
	return &graph.Spec{
		Budget: graph.Window{Items: budgetItems, Bytes: budgetBytes},
		Nodes: []graph.NodeSpec{
			{Name: sourceName, Role: graph.RoleSource, Kind: sourceName},
			{Name: creditName, Role: graph.RoleStage, Kind: creditName, From: []graph.FromSpec{{Name: sourceName}}},
			{Name: indexName, Role: graph.RoleStage, Kind: indexName, From: []graph.FromSpec{{Name: creditName}}, Config: settings},
			{Name: sinkName, Role: graph.RoleSink, Kind: sinkName, From: []graph.FromSpec{{Name: indexName}}},
		},
	}
}

type none struct{}

func kinds() *graph.Registry {
	r := graph.NewRegistry()
	index.Register(r)
	graph.RegisterSource(r, sourceName, graph.Doc{}, none{}, func(_ none, _ graph.Deps, in graph.Inlet[session.Appended]) (any, error) {
		return in, nil
	})
	graph.Register(r, creditName, graph.Doc{Traits: graph.Traits{Fused: true, Charges: true}}, none{},
		func(_ none, d graph.Deps) (graph.Stage[session.Appended, session.Appended], error) {
			return credit{d.Budget}, nil
		})
	graph.RegisterSink(r, sinkName, graph.Doc{}, none{}, func(none, graph.Deps) (graph.Sink[session.Applied], error) { return done{}, nil })
	return r
}

// credit takes the budget, which write keeps within.
type credit struct{ budget *graph.Budget }

// Process implements graph.Stage.
func (c credit) Process(ctx context.Context, in *graph.Batch[session.Appended], out graph.Port[session.Appended]) error {
	if !in.TryCharge(c.budget) {
		return errors.New("a batch is larger than what a measurement holds: make batches smaller")
	}
	return out.Send(ctx, in)
}

// done is where ops end.
type done struct{}

// Deliver implements graph.Sink.
func (done) Deliver(context.Context, *graph.Batch[session.Applied]) error { return nil }

// limits are those of the built-in pipeline's recalls, save that an answer may be as large as can be.
type limits struct{}

// RecallLimits implements the index's Limits.
func (limits) RecallLimits() (workers, queue, maxLimit int) {
	return recallsAtOnce, recallsWaiting, memory.MaxRecallLimit
}

// IndexDir implements the index's DataDir: no graph is saved.
func (limits) IndexDir() string { return "" }

// writing inserts rows in order, as fast as the index takes them.
type writing struct {
	pipeline *pipeline
	batch    int
	records  []record
}

// insert writes the rows of one range under tags of another, and returns when all are offered.
func (w *writing) insert(ctx context.Context, tags, rows int, n int) error {
	return w.observe(ctx, n, func(i int) record { return record{tag: uint32(tags + i), row: uint32(rows + i)} })
}

// observe writes n records, and returns when all are offered.
func (w *writing) observe(ctx context.Context, n int, at func(i int) record) error {
	for done := 0; done < n; {
		part := min(w.batch, n-done)
		w.records = w.records[:0]
		for i := range part {
			w.records = append(w.records, at(done+i))
		}
		if err := w.pipeline.write(ctx, w.pipeline.journal.observe(w.pipeline.from, w.records)); err != nil {
			return err
		}
		done += part
	}
	return nil
}

// forget forgets the memories of a range of tags, and returns when all that is offered.
func (w *writing) forget(ctx context.Context, from, to int) error {
	for ; from < to; from += w.batch {
		f := &memory.Forget{ReceivedAt: time.Now()}
		for tag := from; tag < min(from+w.batch, to); tag++ {
			f.IDs = append(f.IDs, idOf(uint32(tag)))
		}
		if err := w.pipeline.write(ctx, w.pipeline.journal.forget(w.pipeline.from, f)); err != nil {
			return err
		}
	}
	return nil
}
