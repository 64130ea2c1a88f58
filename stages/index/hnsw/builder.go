package hnsw

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/sourcegraph/conc"

	"github.com/engram-stream/engram/stages/index/quant"
)

const (
	// run is how many items of a batch one worker inserts in a row, each going on from where the one before ended.
	run = 16
	// shared is how many of what an item found the next one of its run begins at.
	shared = 6
	// mateWindow is how many of those that stand beside an item in the batch's order it is compared with.
	mateWindow = 64
	// smallGraph is the size up to which an item is compared with all of its batch.
	smallGraph = 1024
)

// Item is a vector to insert, by its int8 code, which has to stay as it is until Insert has returned.
type Item struct {
	Slot    uint32 // a name for it: not the largest there is
	Code    []int8
	Factors quant.Int8
}

// Builder inserts into a graph and removes from it. It is the graph's only writer; not safe for concurrent use.
type Builder struct {
	graph *Graph
	ef    int
	tuner tuner

	free       []Node
	retired    []retired
	upperLists uint32               // lists above level 0 that there is room for and are given away
	freeUpper  [mostLevels][]uint32 // by how many lists stand together
	workers    []*linker
	owed       map[place]int // parents that nodes are yet to get while others are removed; nil otherwise
	batch      batch
	passed     int // nodes without room that were met on the way to room for orphans, ever
}

// NewBuilder returns the builder of a graph, of which there is one. ef is how many of the nearest are found for a new node, of
// which its neighbours are chosen: the more, the better the graph, and the longer it takes; at least 8.
func NewBuilder(g *Graph, ef int) *Builder {
	b := &Builder{graph: g}
	b.SetEf(ef)
	return b
}

// SetEf changes ef for what is inserted next.
func (b *Builder) SetEf(ef int) { b.ef = max(ef, 8) }

// Ef returns ef, as it is by now.
func (b *Builder) Ef() int { return b.ef }

// place is a list's.
type place struct {
	node  Node
	level int
}

// batch is the items on their way into the graph, and what has been found out about each. Index i is node nodes[i].
type batch struct {
	items  []Item
	nodes  []Node
	levels []int
	probes []quant.Probe
	starts [][approachBegins]uint32 // where the walk at level 0 begins
	order  []int32                  // indexes, so that those that are near each other follow each other
	links  [][]link                 // chosen for each, level by level
	found  []link                   // of all, by target
	groups []int32                  // where in found a target's begin
	sorted []Node                   // nodes, ascending
	apart  apart                    // those that lie apart

	entry   entry
	began   bool // the graph had an entry
	orphans []orphan
}

// link says that source has chosen target, at a level.
type link struct {
	target, source Node
	level          int32
	holds          bool // target is the parent of source
	distance       float32
}

// Insert adds items to the graph, in parts that grow with it, and returns how many it has added: all, unless ctx ends.
func (b *Builder) Insert(ctx context.Context, items []Item, workers int) (int, error) {
	for done := 0; ; {
		if done == len(items) {
			return done, nil
		}
		part := min(len(items)-done, max(b.graph.Len(), 1))
		if err := b.insert(ctx, items[done:done+part], workers); err != nil {
			return done, err
		}
		done += part
	}
}

// insert adds items to the graph, all of which are searched in it as it stands, or none.
func (b *Builder) insert(ctx context.Context, items []Item, workers int) error {
	b.begin(items)
	b.each(workers, len(items), func(l *linker, i int) { l.encode(i) })
	b.number()
	b.noteApart()
	if b.batch.began {
		b.each(workers, len(items), func(l *linker, i int) {
			if ctx.Err() == nil {
				l.linkAbove(i)
			}
		})
		b.sort()
		b.each(workers, (len(items)+run-1)/run, func(l *linker, r int) {
			if ctx.Err() == nil {
				l.linkRun(r)
			}
		})
	}
	if err := ctx.Err(); err != nil {
		b.abandon()
		return err
	}
	b.apply(workers)
	b.publish()
	return nil
}

// each runs fn for 0 to n-1, by workers.
func (b *Builder) each(workers, n int, fn func(l *linker, i int)) {
	b.linker(max(workers, 1) - 1)
	var next atomic.Int64
	st := b.graph.storage.Load()
	work := func(l *linker) {
		l.attend(st)
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			fn(l, i)
			runtime.Gosched() // whoever recalls goes first
		}
	}
	if workers <= 1 || n == 1 {
		work(b.workers[0])
		return
	}
	var group conc.WaitGroup
	for _, l := range b.workers[:min(workers, n)] {
		group.Go(func() { work(l) })
	}
	group.Wait()
	runtime.KeepAlive(st)
}

// linker returns worker i.
func (b *Builder) linker(i int) *linker {
	for len(b.workers) <= i {
		b.workers = append(b.workers, &linker{builder: b})
	}
	return b.workers[i]
}

// begin gives the items numbers, levels and room.
func (b *Builder) begin(items []Item) {
	g, t := b.graph, &b.batch
	t.items = items
	t.entry, t.began = g.entry()
	n := len(items)
	t.nodes, t.levels, t.links, t.orphans = t.nodes[:0], t.levels[:0], t.links[:0], t.orphans[:0]
	t.starts = slices.Grow(t.starts[:0], n)[:n]
	for len(t.probes) < n {
		t.probes = append(t.probes, quant.Probe{})
	}
	b.reclaim()
	numbered := g.numbered.Load()
	for i := range items {
		if len(b.free) > 0 {
			t.nodes = append(t.nodes, b.free[len(b.free)-1])
			b.free = b.free[:len(b.free)-1]
		} else {
			t.nodes = append(t.nodes, Node(numbered))
			numbered++
		}
		t.levels = append(t.levels, g.levelOf(items[i].Slot))
		t.links = slices.Grow(t.links, 1)[:i+1]
		t.links[i] = t.links[i][:0]
	}
	if numbered > MaxNodes {
		panic("hnsw: a graph cannot number more nodes")
	}
	t.sorted = append(t.sorted[:0], t.nodes...)
	slices.Sort(t.sorted)
	b.makeRoom(numbered)
}

// makeRoom grows the storage for nodes and for the lists of the batch, and clears these.
func (b *Builder) makeRoom(numbered uint32) {
	g, t := b.graph, &b.batch
	first := make([]uint32, len(t.nodes))
	for i, level := range t.levels {
		if level == 0 {
			continue
		}
		if free := b.freeUpper[level]; len(free) > 0 {
			first[i], b.freeUpper[level] = free[len(free)-1], free[:len(free)-1]
		} else {
			first[i] = b.upperLists
			b.upperLists += uint32(level)
		}
	}
	st := g.storage.Load()
	if numbered > st.limit || int(b.upperLists)*st.degree/2 > len(st.upper) {
		before := st.limit
		st = st.grown(int(max(numbered, min(numbered+numbered/16+64, MaxNodes))), int(b.upperLists+b.upperLists/16+8))
		for n := before; n < st.limit; n++ {
			st.slots[n] = freeSlot
		}
		g.storage.Store(st)
	}
	for i, n := range t.nodes {
		st.levels[n], st.first[n] = uint8(t.levels[i]), first[i]
		for level := range t.levels[i] + 1 {
			list := st.list(n, level)
			for j := range list {
				atomic.StoreUint32(&list[j], none)
			}
		}
	}
}

// number makes the batch's nodes ones that a comparison of all finds.
func (b *Builder) number() {
	st := b.graph.storage.Load()
	numbered := b.graph.numbered.Load()
	for i, n := range b.batch.nodes {
		atomic.StoreUint32(&st.slots[n], b.batch.items[i].Slot)
		numbered = max(numbered, uint32(n)+1)
	}
	b.graph.numbered.Store(numbered)
}

// abandon takes the numbers of the batch back: nothing leads to its nodes.
func (b *Builder) abandon() {
	st := b.graph.storage.Load()
	for _, n := range b.batch.nodes {
		atomic.StoreUint32(&st.slots[n], freeSlot)
		b.retire(n)
	}
}

// sort puts the batch in an order of places in the graph.
func (b *Builder) sort() {
	t := &b.batch
	t.order = t.order[:0]
	for i := range t.items {
		t.order = append(t.order, int32(i))
	}
	slices.SortFunc(t.order, func(x, y int32) int {
		return cmp.Or(cmp.Compare(t.starts[x][0], t.starts[y][0]), cmp.Compare(x, y))
	})
}

// publish makes the batch's nodes part of the graph, and the highest of them the entry if it reaches higher.
func (b *Builder) publish() {
	g, t := b.graph, &b.batch
	top := t.entry
	if !t.began {
		top.level = -1
	}
	for i, n := range t.nodes {
		if t.levels[i] > top.level {
			top = entry{node: n, level: t.levels[i]}
		}
	}
	if !t.began || top != t.entry {
		b.raise(top)
		g.setEntry(top)
	}
	b.addApart()
	g.live.Add(int64(len(t.nodes)))
	t.items = nil
	b.ef = b.tuner.adapt(b.ef)
}

// raise has a new entry hold those of the batch that reach levels where it is the first.
func (b *Builder) raise(top entry) {
	t := &b.batch
	for i, n := range t.nodes {
		for level := t.entry.level + 1; level <= t.levels[i] && t.began && n != top.node; level++ {
			o := orphan{node: n, parent: top.node, level: level}
			b.linker(0).adopt(o, newRoomSearch(o))
		}
	}
}

// encode writes item i's codes into its record and prepares its probe.
func (l *linker) encode(i int) {
	t := &l.builder.batch
	g, n, item := l.builder.graph, t.nodes[i], t.items[i]
	if len(item.Code) != l.st.padded {
		panic(fmt.Sprintf("hnsw: a code of %d components where they have %d", len(item.Code), l.st.padded))
	}
	copy(l.st.code(n), item.Code)
	bits := g.frame.Again(&t.probes[i], l.st.bits(n), l.st.code(n), item.Factors, &l.scratch)
	*l.st.besideOf(n) = g.beside(bits, item.Factors)
}

// beside is what stands beside a node's codes.
func (g *Graph) beside(bits quant.Bits, f quant.Int8) beside {
	return beside{norm: bits.Norm, factor: bits.Factor, ones: bits.Ones, scale: f.Scale, squared: f.Squared, lift: g.lift(f)}
}

// lift is what makes the vectors of a graph by Inner equally long, in units of the frame, of which their median is about one.
// Those longer than longest stay so: they are far from all others, and near to each other.
func (g *Graph) lift(f quant.Int8) float32 {
	if g.measure != Inner {
		return 0
	}
	const longest = 4
	squared := f.SquaredNorm() * g.frame.PerUnit() * g.frame.PerUnit()
	return float32(math.Sqrt(max(longest*longest-squared, 0)))
}
