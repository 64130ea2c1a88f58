package telemetry

import (
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// IndexReading is what an index has done since the start, and what it holds now.
type IndexReading struct {
	Merges                   []Count // by outcome
	Merged, Removed, Rebuilt uint64
	Merging                  time.Duration
	Waits                    uint64
	Waited                   time.Duration

	Spaces, Vectors    []Count // by state
	Bytes              []Count // by part
	Behind, MostBehind uint64  // of all spaces, and of the one that has the most
}

// indexGauges are the instruments of an index.
type indexGauges struct {
	merges, merged, removed, rebuilt, waits metric.Int64ObservableCounter
	merging, waited                         metric.Float64ObservableCounter
	spaces, vectors, bytes                  metric.Int64ObservableGauge
	behind, mostBehind                      metric.Int64ObservableGauge
}

func newIndexGauges(meter metric.Meter) (g indexGauges, all []metric.Observable, err error) {
	var errs []error
	for _, i := range []struct {
		gauge                   *metric.Int64ObservableGauge
		name, unit, description string
	}{
		{&g.spaces, IndexSpaces, "{space}", "Spaces that the index has, by how they are searched."},
		{&g.vectors, IndexVectors, "{vector}", "Vectors that recalls look through, by how."},
		{&g.bytes, IndexBytes, "By", "Memory of the index, by what it is for."},
		{&g.behind, IndexBehind, "{vector}", "Vectors that are scanned until a graph has them."},
		{&g.mostBehind, IndexSpaceBehind, "{vector}", "Vectors that are scanned until a graph has them, of the space that has the most."},
	} {
		*i.gauge, err = meter.Int64ObservableGauge(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
		errs, all = append(errs, err), append(all, *i.gauge)
	}
	for _, i := range []struct {
		counter                 *metric.Int64ObservableCounter
		name, unit, description string
	}{
		{&g.merges, IndexMerges, "{merge}", "Batches of vectors put into graphs, by how that ended."},
		{&g.merged, IndexMerged, "{vector}", "Vectors put into graphs."},
		{&g.removed, IndexRemoved, "{vector}", "Vectors taken out of graphs, of memories that are no more."},
		{&g.rebuilt, IndexRebuilt, "{space}", "Spaces made again from the journal while the server ran."},
		{&g.waits, IndexWaits, "{wait}", "Times that a writer waited for a graph that was too far behind."},
	} {
		*i.counter, err = meter.Int64ObservableCounter(i.name, metric.WithUnit(i.unit), metric.WithDescription(i.description))
		errs, all = append(errs, err), append(all, *i.counter)
	}
	g.merging, err = meter.Float64ObservableCounter(IndexMerging, metric.WithUnit("s"),
		metric.WithDescription("Time spent on graphs in the background."))
	errs = append(errs, err)
	g.waited, err = meter.Float64ObservableCounter(IndexWaited, metric.WithUnit("s"),
		metric.WithDescription("Time that writers waited for a graph that was too far behind."))
	return g, append(all, g.merging, g.waited), errors.Join(append(errs, err)...)
}

func (g *indexGauges) observe(o metric.Observer, r *IndexReading) {
	observeEach(o, g.merges, AttrOutcome, r.Merges)
	observeEach(o, g.spaces, AttrState, r.Spaces)
	observeEach(o, g.vectors, AttrState, r.Vectors)
	observeEach(o, g.bytes, AttrPart, r.Bytes)
	o.ObserveInt64(g.merged, int64(r.Merged))
	o.ObserveInt64(g.removed, int64(r.Removed))
	o.ObserveInt64(g.rebuilt, int64(r.Rebuilt))
	o.ObserveInt64(g.waits, int64(r.Waits))
	o.ObserveFloat64(g.merging, r.Merging.Seconds())
	o.ObserveFloat64(g.waited, r.Waited.Seconds())
	o.ObserveInt64(g.behind, int64(r.Behind))
	o.ObserveInt64(g.mostBehind, int64(r.MostBehind))
}
