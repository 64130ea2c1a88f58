package hnsw

import (
	"slices"
	"sync/atomic"

	"github.com/engram-stream/engram/stages/index/quant"
)

// linker is one worker of a builder.
type linker struct {
	builder *Builder
	walker
	scratch          quant.Scratch
	kept             []uint64 // the pool, while a sample is taken
	list, candidates []Found  // while a list is mended

	last    []uint32 // what the item before was linked with at level 0: good places to begin
	chosen  []Found
	ids     []uint32
	pairs   []float32
	orphans []orphan
}

// attend makes the linker work on a storage.
func (l *linker) attend(st *storage) {
	g := l.builder.graph
	l.st, l.perUnit, l.lifted = st, g.frame.PerUnit(), g.measure == Inner
}

// aim makes item i's vector the one that is walked to.
func (l *linker) aim(i int) {
	t := &l.builder.batch
	l.probe, l.lift = &t.probes[i], l.st.besideOf(t.nodes[i]).lift
}

// linkAbove finds item i's neighbours at its levels above 0, and where the walk at level 0 begins.
func (l *linker) linkAbove(i int) {
	b := l.builder
	t := &b.batch
	l.aim(i)
	top := min(t.levels[i], t.entry.level)
	if top == 0 {
		l.begin(i, l.approach(t.entry))
		return
	}
	at := l.descend(t.entry, top)
	for level := top; level > 0; level-- {
		l.walk(level, b.ef, []uint32{at})
		at = uint32(l.pool[0]) >> 1
		if level == 1 {
			l.begin(i, l.ahead())
		}
		l.choose(i, level, b.matesAbove(i, level))
	}
}

// begin notes where the walk of item i at level 0 begins, the nearest first.
func (l *linker) begin(i int, at []uint32) {
	t := &l.builder.batch
	for j := range t.starts[i] {
		t.starts[i][j] = at[min(j, len(at)-1)]
	}
}

// matesAbove returns the other nodes of the batch that reach a level.
func (b *Builder) matesAbove(i, level int) (mates []uint32) {
	t := &b.batch
	for j, n := range t.nodes {
		if j != i && t.levels[j] >= level && len(mates) < smallGraph {
			mates = append(mates, uint32(n))
		}
	}
	return mates
}

// linkRun finds the neighbours at level 0 of the items of one run of the batch's order.
func (l *linker) linkRun(r int) {
	b := l.builder
	t := &b.batch
	l.last = l.last[:0]
	before := none
	for place := r * run; place < min((r+1)*run, len(t.order)); place++ {
		i := int(t.order[place])
		l.aim(i)
		if t.starts[i][0] != before {
			l.last = l.last[:0]
		}
		before = t.starts[i][0]
		l.last = append(l.last, t.starts[i][:]...)
		if l.apart = nil; b.graph.liesApart(l.st, t.nodes[i]) {
			l.apart = b.graph.apartNodes()
		}
		l.walk(0, b.ef, l.last)
		if place%sampleEvery == 0 && b.tuner.most > 0 {
			l.sample()
		}
		l.choose(i, 0, l.mates(place))
		l.last = l.last[:0]
		for _, f := range l.found[:min(shared, len(l.found))] {
			if !b.isNew(f.Node) {
				l.last = append(l.last, uint32(f.Node))
			}
		}
	}
}

// isNew reports whether a node is of the batch that is being inserted.
func (b *Builder) isNew(n Node) bool {
	_, found := slices.BinarySearch(b.batch.sorted, n)
	return found
}

// mates returns the nodes of the batch that may be near the one at a place of its order.
func (l *linker) mates(place int) []uint32 {
	b := l.builder
	t := &b.batch
	if i := int(t.order[place]); b.graph.liesApart(l.st, t.nodes[i]) {
		return l.matesApart(i)
	}
	from, to := 0, len(t.order)
	start := t.starts[t.order[place]][0]
	if b.graph.Len() > smallGraph {
		from, to = place, place+1
		for from > 0 && place-from < mateWindow && t.starts[t.order[from-1]][0] == start {
			from--
		}
		for to < len(t.order) && to-place <= mateWindow && t.starts[t.order[to]][0] == start {
			to++
		}
	}
	l.ids = l.ids[:0]
	for p := from; p < to; p++ {
		if p != place {
			l.ids = append(l.ids, uint32(t.nodes[t.order[p]]))
		}
	}
	return l.ids
}

// matesApart returns those of the batch that lie apart, for one of them: their walks begin at places that say nothing about them.
func (l *linker) matesApart(i int) []uint32 {
	t := &l.builder.batch
	l.ids = l.ids[:0]
	for _, n := range t.apart[:min(len(t.apart), smallGraph)] {
		if Node(n) != t.nodes[i] {
			l.ids = append(l.ids, n)
		}
	}
	return l.ids
}

// choose links item i at a level with some of what is in the pool and of its mates: the nearest first, and each only when it is
// nearer to the item than to all chosen before (algorithm 4 of the paper).
func (l *linker) choose(i, level int, mates []uint32) {
	b := l.builder
	t := &b.batch
	nearest := Node(uint32(l.pool[0]) >> 1)
	if len(mates) > 0 {
		l.nodes = append(l.nodes[:0], mates...)
		l.look(b.ef)
	}
	own := t.nodes[i]
	l.chosen = l.pick(l.chosen[:0], own, l.rank(), b.graph.degree/2)
	parent := l.parent(level, nearest)
	for _, c := range l.chosen {
		t.links[i] = append(t.links[i], link{
			target: c.Node, source: own, level: int32(level), holds: c.Node == parent, distance: c.Distance,
		})
	}
}

// pick appends candidates, which come the nearest first, that are spread around a node, until most are chosen.
func (l *linker) pick(chosen []Found, own Node, candidates []Found, most int) []Found {
	if len(l.pairs) < len(candidates)+most {
		l.pairs = make([]float32, 2*(len(candidates)+most))
	}
	ids := make([]uint32, 0, 64)
	for _, c := range chosen {
		ids = append(ids, uint32(c.Node))
	}
	l.nodes = l.nodes[:0]
	for _, c := range candidates {
		l.nodes = append(l.nodes, uint32(c.Node))
	}
	to := l.pairs[:len(candidates)]
	l.roughly(to, own, l.nodes)
	apart := l.pairs[len(candidates):]
	for i, c := range candidates {
		if len(chosen) == most {
			break
		}
		if c.Node != own && l.spread(apart, c.Node, ids, to[i]) {
			chosen, ids = append(chosen, c), append(ids, uint32(c.Node))
		}
	}
	return chosen
}

// shadows reports whether what is at a distance from another is to be reached by that, and not from a node at the distance own. Of
// several that are equal to the node one is listed; but that one is as far from all others as the node is, and shadows none.
func shadows(apart, own float32) bool { return apart < own || apart <= 0 && own <= 0 }

// spread reports whether a node is farther from each of others than a distance.
func (l *linker) spread(apart []float32, n Node, others []uint32, distance float32) bool {
	for len(others) > 0 {
		some := others[:min(len(others), 8)]
		others = others[len(some):]
		l.roughly(apart[:len(some)], n, some)
		for _, d := range apart[:len(some)] {
			if shadows(d, distance) {
				return false
			}
		}
	}
	return true
}

// parent returns which of the chosen holds the item: the first that was there before it and holds few, or else the nearest,
// which is then chosen too.
func (l *linker) parent(level int, nearest Node) Node {
	b := l.builder
	for _, c := range l.chosen {
		if !b.isNew(c.Node) && l.holds(c.Node, level) < b.mostHeld(level) {
			return c.Node
		}
	}
	for _, c := range l.chosen {
		if c.Node == nearest {
			return nearest
		}
	}
	var distance [1]float32
	l.exact(distance[:], []uint32{uint32(nearest)})
	if len(l.chosen) == b.graph.degree/2 {
		l.chosen = l.chosen[:len(l.chosen)-1]
	}
	l.chosen = append(l.chosen, Found{Node: nearest, Distance: distance[0]})
	return nearest
}

// mostHeld is how many entries of a list may be of the tree, so that there is room for others.
func (b *Builder) mostHeld(level int) int {
	if level == 0 {
		return b.graph.degree / 2
	}
	return b.graph.degree / 4
}

// holds counts the entries of a node's list that are of the tree.
func (l *linker) holds(n Node, level int) (count int) {
	for _, e := range l.st.list(n, level) {
		if e == none {
			break
		}
		if e&held != 0 {
			count++
		}
	}
	return count
}

// write fills the lists of item i with what was chosen for it. No reader can see them yet.
func (l *linker) write(i int) {
	t := &l.builder.batch
	for _, k := range t.links[i] {
		l.append(k.source, int(k.level), uint32(k.target), k.holds, k.distance)
	}
}

// append puts a node at the end of a list; false: it is full.
func (l *linker) append(n Node, level int, other uint32, holds bool, distance float32) bool {
	list := l.st.list(n, level)
	for at := range list {
		if list[at] == none {
			l.set(n, level, at, other, holds, distance)
			return true
		}
	}
	return false
}

func (l *linker) set(n Node, level, at int, other uint32, holds bool, distance float32) {
	if holds {
		other |= held
	}
	l.st.listDistances(n, level)[at] = distance
	atomic.StoreUint32(&l.st.list(n, level)[at], other)
}
