package hnsw

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// retired is a number that is given away again when nobody can have seen its node.
type retired struct {
	node  Node
	epoch uint64
}

// Remove takes nodes out of the graph; those that are not in it are left out. What listed one of them gets in its place some of
// what it listed (after FreshDiskANN, arXiv 2105.09613, algorithm 4), so that walks still lead past. It reads every list: many
// are removed at once. Readers must not need the nodes any more: Search may find them until Remove returns, and no longer.
func (b *Builder) Remove(nodes []Node, workers int) {
	g := b.graph
	st := g.storage.Load()
	r := &removal{builder: b, st: st, gone: make([]bool, g.numbered.Load())}
	for _, n := range nodes {
		if uint32(n) < g.numbered.Load() && g.has(st, n) && !r.gone[n] {
			r.gone[n] = true
			r.nodes = append(r.nodes, n)
		}
	}
	if len(r.nodes) == 0 {
		return
	}
	slices.Sort(r.nodes)
	r.findBorders()
	const chunk = 1024
	b.each(workers, (len(r.gone)+chunk-1)/chunk, func(l *linker, i int) {
		for n := i * chunk; n < min((i+1)*chunk, len(r.gone)); n++ {
			r.mendAll(l, Node(n))
		}
	})
	b.owed = map[place]int{}
	for _, border := range r.borders {
		for _, n := range border.nodes[min(1, len(border.nodes)):] {
			b.owed[place{n, border.level}]++
		}
	}
	for _, border := range r.borders {
		for i := 1; i < len(border.nodes); i++ {
			b.owed[place{border.nodes[i], border.level}]--
			o := orphan{node: border.nodes[i], parent: border.nodes[i-1], level: border.level}
			b.linker(0).adopt(o, newRoomSearch(o))
		}
	}
	b.owed = nil
	r.crown()
	r.dropApart()
	g.live.Add(-int64(len(r.nodes)))
	for _, n := range r.nodes {
		atomic.StoreUint32(&st.slots[n], freeSlot)
		b.retire(n)
	}
	g.epochs.Advance() // so that, where nobody searches, the next insert takes the numbers
}

// removal is nodes on their way out.
type removal struct {
	builder *Builder
	st      *storage
	gone    []bool // by number
	nodes   []Node // ascending
	borders []border
}

// border is the nodes that a connected part of the tree that goes has around it: each belongs to another part of what is left.
type border struct {
	level int
	nodes []Node
}

// findBorders collects the borders of the parts of all levels' trees that go.
func (r *removal) findBorders() {
	for level := range mostLevels {
		seen := map[Node]bool{}
		for _, n := range r.nodes {
			if int(r.st.levels[n]) >= level && !seen[n] {
				r.borders = append(r.borders, border{level: level, nodes: r.around(n, level, seen)})
			}
		}
	}
}

// around returns the border of the part that a node is of, whose nodes it adds to seen.
func (r *removal) around(n Node, level int, seen map[Node]bool) (nodes []Node) {
	seen[n] = true
	for part := []Node{n}; len(part) > 0; {
		n, part = part[len(part)-1], part[:len(part)-1]
		for _, e := range r.st.list(n, level) {
			if e == none {
				break
			}
			switch other := Node(e & mask); {
			case e&held == 0 || seen[other]:
			case r.gone[other]:
				seen[other] = true
				part = append(part, other)
			default:
				nodes = append(nodes, other)
			}
		}
	}
	return nodes
}

// mendAll mends the lists of a node that stays.
func (r *removal) mendAll(l *linker, n Node) {
	if r.gone[n] || !r.builder.graph.has(r.st, n) {
		return
	}
	for level := range int(r.st.levels[n]) + 1 {
		list := r.st.list(n, level)
		if slices.ContainsFunc(list, func(e uint32) bool { return e != none && r.gone[e&mask] }) {
			r.mend(l, n, level)
		}
	}
}

// mend gives a list, in the places of what goes, some of what that listed: what is spread around the node beside all that stays,
// and then the nearest. What stays is not chosen anew: a list grows dense by what has come later, which no choice among its own
// would bring back. The lists of others may be changing: they are not looked at.
func (r *removal) mend(l *linker, n Node, level int) {
	list, distances := r.st.list(n, level), r.st.listDistances(n, level)
	stays := l.list[:0]
	var flags []bool
	seen := map[Node]bool{n: true}
	var more []uint32
	before := 0
	for i, e := range list {
		if e == none {
			break
		}
		before++
		other := Node(e & mask)
		seen[other] = true
		if !r.gone[other] {
			stays, flags = append(stays, Found{Node: other, Distance: distances[i]}), append(flags, e&held != 0)
			continue
		}
		for _, e := range r.st.list(other, level) {
			if e != none && !r.gone[e&mask] {
				more = append(more, e&mask)
			}
		}
	}
	more = slices.DeleteFunc(more, func(other uint32) bool {
		twice := seen[Node(other)]
		seen[Node(other)] = true
		return twice
	})
	l.list = stays
	l.chosen = r.replace(l, n, stays, more, before)
	for i, c := range l.chosen {
		l.set(n, level, i, uint32(c.Node), i < len(flags) && flags[i], c.Distance)
	}
	for i := len(l.chosen); i < len(list); i++ {
		atomic.StoreUint32(&list[i], none)
	}
}

// replace returns what stays and some more, so that there are as many as before.
func (r *removal) replace(l *linker, n Node, stays []Found, more []uint32, before int) []Found {
	l.between(l.distances(len(more)), n, more)
	candidates := l.candidates[:0]
	for i, other := range more {
		candidates = append(candidates, Found{Node: Node(other), Distance: l.near[i]})
	}
	l.candidates = candidates
	slices.SortFunc(candidates, compareFound)
	chosen := l.pick(append(l.chosen[:0], stays...), n, candidates, before)
	for _, c := range candidates {
		if len(chosen) == before {
			break
		}
		if !slices.ContainsFunc(chosen[len(stays):], func(f Found) bool { return f.Node == c.Node }) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// crown makes the highest of what is left the entry, the first where there are several.
func (r *removal) crown() {
	g := r.builder.graph
	if e, _ := g.entry(); !r.gone[e.node] {
		return
	}
	top := entry{level: -1}
	for n := range r.gone {
		if !r.gone[n] && g.has(r.st, Node(n)) && int(r.st.levels[n]) > top.level {
			top = entry{node: Node(n), level: int(r.st.levels[n])}
		}
	}
	if top.level < 0 {
		g.top.Store(0)
		return
	}
	g.setEntry(top)
}

// retire notes that nothing leads to a node any more.
func (b *Builder) retire(n Node) {
	b.retired = append(b.retired, retired{node: n, epoch: b.graph.epochs.Now()})
}

// reclaim takes the numbers of retired nodes that no search can have seen.
func (b *Builder) reclaim() {
	g := b.graph
	g.epochs.Advance()
	st := g.storage.Load()
	rest := b.retired[:0]
	for _, r := range b.retired {
		if !g.epochs.Over(r.epoch) {
			rest = append(rest, r)
			continue
		}
		if level := int(st.levels[r.node]); level > 0 {
			b.freeUpper[level] = append(b.freeUpper[level], st.first[r.node])
		}
		b.free = append(b.free, r.node)
	}
	b.retired = rest
	// The same numbers are given away in the same order, whatever searches ran.
	slices.SortFunc(b.free, func(x, y Node) int { return cmp.Compare(y, x) })
}
