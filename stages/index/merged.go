package index

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/epoch"
	"github.com/engram-stream/engram/stages/index/fresh"
	"github.com/engram-stream/engram/stages/index/hnsw"
	"github.com/engram-stream/engram/stages/index/quant"
)

const (
	// mergeBatch is how many vectors go into a graph at once: so many that they keep each other company on the way, and so few
	// that a merge can stop soon.
	mergeBatch = 1024
	// frameSample is how many vectors a graph's frame is the mean of, at most.
	frameSample = 1 << 14
	// removeShare is the part of a graph, one in so many, that is dead before it is removed: what is removed at once is mended
	// around at once.
	removeShare = 10
	// walkEf is how many of the nearest a walk keeps, at least.
	walkEf = 64
	// leastEf and mostEf bound how many of the nearest are found for a new node; how many follows from how dense they lie.
	leastEf, mostEf = 40, 512
	// innerTimes is how many times more of the nearest both take by inner product: nodes are linked by other distances than
	// queries go by.
	innerTimes = 2
)

// merged is the graph that takes over what lies in a tier: slots below coverage.through are found through it and the others by
// a scan. The merger, one goroutine at a time, is its only writer.
//
// A reader enters the space's epochs before it loads the view, and leaves when it has its candidates. So it loads a coverage as
// late as the view; what the merger lets go of, it let go of when every reader had left that may have needed it:
//  1. dead slots are left out of a graph, and taken out of it, when no reader sees a version at which they lived;
//  2. codes of covered slots are released when no reader has an older coverage.
type merged struct {
	// immutable
	tier    *fresh.Tier
	epochs  *epoch.Epochs
	scanned bool // there is no graph, and will be none

	// atomic
	coverage atomic.Pointer[coverage] // never nil; written by the merger
	killed   atomic.Int64             // slots that have died; written by the owner
	released atomic.Uint32            // slots whose codes have been let go: those below; written by the merger
	swept    atomic.Int64             // killed, when the graph was last searched for dead nodes; written by the merger
	failed   atomic.Bool              // by the merger: nothing is merged any more, the owner is to rebuild the space

	// the merger's
	builder  *hnsw.Builder
	unsaved  unsaved
	seen     mark           // readers before it had left
	next     mark           // readers before it are being waited for
	searched memory.Version // of seen, when the graph was last searched for dead nodes
	searches int            // how often it was
	work     work           // since it was last asked for
}

// coverage is how far the graph reaches. Immutable.
type coverage struct {
	graph   *hnsw.Graph // nil: there is none
	through fresh.Slot
	version memory.Version // everything up to it lies below through
	ef      int            // how many of the nearest were found for the last nodes
}

// mark is a moment of the space's: whoever enters later sees this version, and this coverage, or later ones.
type mark struct {
	epoch   uint64
	version memory.Version
	through fresh.Slot
}

func newMerged(tier *fresh.Tier, epochs *epoch.Epochs) *merged {
	m := &merged{tier: tier, epochs: epochs}
	m.coverage.Store(&coverage{})
	m.next.epoch = epochs.Now()
	return m
}

// pending returns how many committed slots the graph does not have.
func (m *merged) pending() int { return m.tier.Len() - int(m.coverage.Load().through) }

// watch notes who has left, given the published version.
func (m *merged) watch(published memory.Version) {
	m.epochs.Advance()
	if m.epochs.Over(m.next.epoch) {
		m.seen = m.next
		m.next = mark{epoch: m.epochs.Now(), version: published, through: m.coverage.Load().through}
	}
}

// over reports whether nothing will be merged any more.
func (m *merged) over() bool { return m.scanned || m.failed.Load() }

// mergeLimits say when and how a tier is merged.
type mergeLimits struct {
	graphFrom int // vectors that a graph is worth; 0: there is none
	workers   int
}

// worthwhile reports whether a step may have something to do. Anyone may ask.
func (m *merged) worthwhile(limits mergeLimits) bool {
	if limits.graphFrom == 0 || m.over() {
		return false
	}
	c := m.coverage.Load()
	if c.graph == nil {
		return m.tier.Len() >= limits.graphFrom
	}
	return m.tier.Len()-int(c.through) >= limits.least() || m.killed.Load()-m.swept.Load() > int64(c.graph.Len()/removeShare)
}

// least is how many vectors are worth a merge.
func (l mergeLimits) least() int { return min(mergeBatch, max(l.graphFrom/2, 1)) }

// step does one piece of the work that there is: it removes, or inserts, or releases. It returns false when there is nothing to
// do now; later says that there will be when readers have left. published is the version of a view that is published.
func (m *merged) step(ctx context.Context, published memory.Version, limits mergeLimits) (more, later bool, err error) {
	m.watch(published)
	c := m.coverage.Load()
	if c.graph == nil {
		if limits.graphFrom == 0 || m.tier.Len() < limits.graphFrom {
			return false, false, nil
		}
		c = &coverage{graph: m.newGraph()}
	}
	if fresh.Slot(m.released.Load()) < m.seen.through {
		m.tier.Release(m.seen.through)
		m.released.Store(uint32(m.seen.through))
	}
	m.sweep(c.graph, limits.workers)
	if m.tier.Len()-int(c.through) < limits.least() {
		return false, fresh.Slot(m.released.Load()) < c.through || m.worthwhile(limits), nil
	}
	next, err := m.insert(ctx, c, published, limits.workers)
	if err != nil {
		return false, false, err
	}
	if next.through == c.through { // its owner is not done with what comes next
		return false, true, nil
	}
	m.coverage.Store(next)
	m.unsaved.changed += int(next.through - c.through)
	m.work.batches++
	return true, true, nil
}

// done returns what steps have done since it was last called. The merger calls it.
func (m *merged) done() work {
	w := m.work
	m.work = work{}
	return w
}

// newGraph makes an empty graph for the tier, around the mean of its first vectors, and of some of the others.
func (m *merged) newGraph() *hnsw.Graph {
	n := m.tier.Len()
	sample := min(n, frameSample)
	scheme := m.tier.Scheme()
	frame := scheme.NewFrame(sample, func(i int) ([]int8, quant.Int8) {
		return m.tier.Code(fresh.Slot(int64(i) * int64(n) / int64(sample)))
	})
	o := m.options()
	o.Frame = frame
	m.builder = hnsw.NewBuilder(hnsw.New(o), leastEf)
	m.adapt()
	return m.builder.Graph()
}

// options are those of the tier's graph, without a frame.
func (m *merged) options() hnsw.Options {
	o := hnsw.Options{Scheme: m.tier.Scheme(), Measure: hnsw.Distance, Epochs: m.epochs}
	switch m.tier.Metric() {
	case fresh.Dot:
		o.Measure = hnsw.Inner
	case fresh.Cosine:
		o.Unit = true
	}
	return o
}

// adapt has the builder's ef follow the vectors.
func (m *merged) adapt() {
	least := leastEf
	if m.tier.Metric() == fresh.Dot {
		least *= innerTimes
	}
	m.builder.Adapt(least, mostEf)
}

// resume goes on with the builder of a graph that has been restored, and whose codes the tier has let go. Before the tier is
// published.
func (m *merged) resume(b *hnsw.Builder, through fresh.Slot, version memory.Version) {
	m.builder = b
	m.adapt()
	m.unsaved = unsaved{nodes: b.Graph().Len()}
	m.released.Store(uint32(through))
	m.coverage.Store(&coverage{graph: b.Graph(), through: through, version: version, ef: b.Ef()})
}

// whole says that a slot is alive which the graph covers and does not have: then it is not one of this tier. Nobody merges meanwhile.
func (m *merged) whole() error {
	c := m.coverage.Load()
	if c.graph == nil {
		return nil
	}
	has := make([]bool, c.through)
	c.graph.Each(func(_ hnsw.Node, slot uint32) bool {
		has[slot] = true
		return true
	})
	for slot := range c.through {
		if r := m.tier.Record(slot); r.Death == 0 && !has[slot] {
			return fmt.Errorf("its graph does not have version %d, which is alive", r.Birth)
		}
	}
	return nil
}

// insert puts the next slots into the graph, those that are dead to every reader left out.
func (m *merged) insert(ctx context.Context, c *coverage, published memory.Version, workers int) (*coverage, error) {
	next := &coverage{graph: c.graph, through: c.through, version: c.version, ef: m.builder.Ef()}
	end := fresh.Slot(m.tier.Len())
	items := make([]hnsw.Item, 0, mergeBatch)
	for ; next.through < end && len(items) < mergeBatch; next.through++ {
		if memory.Version(m.tier.Birth(next.through)) > published { // its owner is not done with it
			break
		}
		r := m.tier.Record(next.through)
		next.version = memory.Version(r.Birth)
		if r.Death != 0 {
			if memory.Version(r.Death) <= m.seen.version {
				continue
			}
			m.swept.Add(-1) // a search for dead nodes may have counted it, and has not found it
		}
		code, factors := m.tier.Code(next.through)
		items = append(items, hnsw.Item{Slot: uint32(next.through), Code: code, Factors: factors})
	}
	n, err := m.builder.Insert(ctx, items, workers)
	m.work.inserted += uint64(n)
	runtime.KeepAlive(m.tier)
	if err != nil && n == 0 {
		return nil, err
	}
	if n < len(items) { // ctx has ended: the graph has the first of them
		last := fresh.Slot(items[n-1].Slot)
		next.through, next.version = last+1, memory.Version(m.tier.Birth(last))
	}
	return next, nil
}

// sweep removes the nodes that are dead to every reader, when they are worth it.
func (m *merged) sweep(g *hnsw.Graph, workers int) {
	killed := m.killed.Load()
	if killed-m.swept.Load() <= int64(g.Len()/removeShare) {
		return
	}
	if m.seen.version == m.searched { // what was dead to every reader then has been found, and nothing has come to be since
		return
	}
	m.searched = m.seen.version
	m.searches++
	var dead []hnsw.Node
	waiting := 0
	g.Each(func(n hnsw.Node, slot uint32) bool {
		switch death := memory.Version(m.tier.Record(fresh.Slot(slot)).Death); {
		case death == 0:
		case death <= m.seen.version:
			dead = append(dead, n)
		default:
			waiting++
		}
		return true
	})
	if waiting > 0 && len(dead) <= g.Len()/removeShare {
		return // they are dead to some only: again when these have left
	}
	m.builder.Remove(dead, workers)
	m.unsaved.changed += len(dead)
	m.work.removed += uint64(len(dead))
	m.swept.Store(killed - int64(waiting)) // or these would stay until as many others had died
}

// ef is how many of the nearest a walk for k keeps, where the query does not say.
func (m *merged) ef(c *coverage, k int) int {
	ef := max(walkEf, c.ef+c.ef/3, k+k/2)
	if m.tier.Metric() == fresh.Dot {
		ef *= innerTimes
	}
	return ef
}

// searchers are used again: each holds buffers of its last walk.
var searchers = sync.Pool{New: func() any { return new(hnsw.Searcher) }}

// walk finds up to k of the nearest that the graph has, as of a version, by falling score, and how many it compared. vector is
// the query.
func (m *merged) walk(c *coverage, vector []float32, version memory.Version, k, ef int) (found []fresh.Candidate, compared int) {
	s := searchers.Get().(*hnsw.Searcher)
	defer searchers.Put(s)
	nearest, compared := s.Search(c.graph, hnsw.Query{
		Vector: vector, K: k, Ef: ef,
		Keep: func(slot uint32) bool { return m.tier.Record(fresh.Slot(slot)).VisibleAt(uint64(version)) },
	})
	score := m.scores(c.graph, vector)
	for _, f := range nearest {
		r := m.tier.Record(fresh.Slot(f.Slot))
		found = append(found, fresh.Candidate{
			Slot: fresh.Slot(f.Slot), Score: score(float64(f.Distance)), Birth: r.Birth, Ordinal: r.Ordinal,
		})
	}
	return found, compared
}

// scores returns what a graph's distances are as scores of the tier.
func (m *merged) scores(g *hnsw.Graph, vector []float32) func(distance float64) float32 {
	perUnit := g.Frame().PerUnit()
	switch m.tier.Metric() {
	case fresh.Cosine:
		return func(d float64) float32 { return float32(max(1-d/(2*perUnit*perUnit), -1)) }
	case fresh.Dot:
		length := quant.Length(vector) / perUnit
		return func(d float64) float32 { return float32(min(max(-d*length, -math.MaxFloat32), math.MaxFloat32)) }
	default:
		return func(d float64) float32 { return float32(0 - min(math.Sqrt(d)/perUnit, math.MaxFloat32)) }
	}
}
