package hnsw

import (
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/engram-stream/engram/stages/index/quant"
)

// Found is a node that a search found.
type Found struct {
	Distance float32 // by int8 codes: squared, in units of the frame; by Inner the negated product with the query's direction
	Slot     uint32  // whose vector it has
	Node     Node
}

func compareFound(a, b Found) int {
	switch {
	case a.Distance < b.Distance:
		return -1
	case a.Distance > b.Distance:
		return 1
	}
	return int(a.Node) - int(b.Node)
}

// expandAtOnce is how many nodes a walk takes a step from at once, so that what they lead to is fetched together.
const expandAtOnce = 2

// approachEf is how many of the nearest are kept at level 1, and approachBegins how many of them level 0 begins at.
const (
	approachEf     = 12
	approachBegins = 4
)

// walker walks a graph towards a probe. One goroutine's.
type walker struct {
	scorer

	apart   apart    // that walks at level 0 begin at too
	pool    []uint64 // the nearest seen, ascending: key of the distance, node<<1, and whether it is expanded
	visited visited
	nodes   []uint32
	begins  []uint32
	near    []float32
	found   []Found
}

// visited is a set of nodes: a hash table with open addressing that is cleared for each walk.
type visited struct {
	table []uint32 // node+1
	shift uint32
	held  int
}

// clear empties the set, and makes it large enough for most walks with a pool of ef.
func (v *visited) clear(ef int) {
	want := 4096
	for want < 40*ef && want < 1<<16 {
		want *= 2
	}
	v.resize(want)
	clear(v.table)
	v.held = 0
}

func (v *visited) resize(n int) {
	if cap(v.table) < n {
		v.table = make([]uint32, n)
	}
	v.table = v.table[:n]
	v.shift = 32
	for ; n > 1; n /= 2 {
		v.shift--
	}
}

// add reports whether a node was not in the set before.
func (v *visited) add(node uint32) bool {
	last := uint32(len(v.table) - 1)
	for at := node * 2654435769 >> v.shift; ; at = (at + 1) & last {
		switch v.table[at] {
		case 0:
			v.table[at] = node + 1
			v.held++
			if v.held > len(v.table)/2 {
				v.grow()
			}
			return true
		case node + 1:
			return false
		}
	}
}

func (v *visited) grow() {
	old := v.table
	v.table = nil
	v.resize(2 * len(old))
	v.held = 0
	for _, held := range old {
		if held != 0 {
			v.add(held - 1)
		}
	}
}

// push puts a node into the pool of ef, and returns its place; ef: it is too far.
func (w *walker) push(ef int, k uint32, node uint32) int {
	entry := uint64(k)<<32 | uint64(node)<<1
	pool := w.pool
	n := len(pool)
	if n == ef {
		if entry >= pool[n-1] {
			return ef
		}
	} else {
		pool = append(pool, 0)
		n++
	}
	low, high := 0, n-1
	for low < high {
		middle := int(uint(low+high) >> 1)
		if pool[middle] < entry {
			low = middle + 1
		} else {
			high = middle
		}
	}
	copy(pool[low+1:n], pool[low:n-1])
	pool[low] = entry
	w.pool = pool
	return low
}

// distances returns room for n of them, in near.
func (w *walker) distances(n int) []float32 {
	if len(w.near) < n {
		w.near = make([]float32, 2*n)
	}
	return w.near[:n]
}

// start begins a walk at nodes.
func (w *walker) start(ef int, from []uint32) {
	w.visited.clear(ef)
	w.pool, w.nodes = w.pool[:0], w.nodes[:0]
	for _, n := range from {
		if w.visited.add(n) {
			w.nodes = append(w.nodes, n)
		}
	}
	w.look(ef)
}

// startApart has a walk begin at what lies apart too, compared by int8 codes: the error of an estimate grows with the length.
func (w *walker) startApart(ef int) {
	w.nodes = w.nodes[:0]
	for _, n := range w.apart {
		if n < w.st.limit && w.visited.add(n) {
			w.nodes = append(w.nodes, n)
		}
	}
	w.exactly(w.distances(len(w.nodes)), w.nodes)
	w.take(ef)
}

// look compares the nodes that were collected and puts them into the pool. It returns the first place that was filled.
func (w *walker) look(ef int) int {
	w.estimates(w.distances(len(w.nodes)), w.nodes)
	return w.take(ef)
}

// take puts the nodes that were compared into the pool.
func (w *walker) take(ef int) int {
	near := w.near[:len(w.nodes)]
	first, most := ef, uint32(math.MaxUint32)
	if len(w.pool) == ef {
		most = uint32(w.pool[ef-1] >> 32)
	}
	for i, d := range near {
		k := key(d)
		if k >= most {
			continue
		}
		if at := w.push(ef, k, w.nodes[i]); at < ef {
			first = min(first, at)
			if len(w.pool) == ef {
				most = uint32(w.pool[ef-1] >> 32)
			}
		}
	}
	return first
}

// walk fills the pool with the ef nearest that it comes by at a level, from nodes of that level.
func (w *walker) walk(level, ef int, from []uint32) {
	w.start(ef, from)
	if level == 0 && len(w.apart) > 0 {
		w.startApart(ef)
	}
	for next := 0; next < len(w.pool); {
		w.nodes = w.nodes[:0]
		first, taken := -1, 0
		for at := next; at < len(w.pool) && taken < expandAtOnce; at++ {
			entry := w.pool[at]
			if entry&1 != 0 {
				continue
			}
			if first < 0 {
				first = at
			}
			taken++
			w.pool[at] = entry | 1
			w.collect(w.list(Node(uint32(entry)>>1), level))
		}
		if taken == 0 {
			return
		}
		next = first + 1
		if len(w.nodes) > 0 {
			next = min(next, w.look(ef))
		}
	}
}

// list is a node's, or empty where it lies beyond the storage: of a node that has come since that was looked up.
func (w *walker) list(n Node, level int) []uint32 {
	if level > 0 && (int(w.st.first[n])+level)*(w.st.degree/2) > len(w.st.upper) {
		return nil
	}
	return w.st.list(n, level)
}

// collect takes the nodes of a list that have not been seen. Those beyond the storage have come since it was looked up.
func (w *walker) collect(list []uint32) {
	for i := range list {
		e := atomic.LoadUint32(&list[i])
		n := e & mask
		if n >= w.st.limit {
			if e == none {
				return
			}
			continue
		}
		if w.visited.add(n) {
			w.nodes = append(w.nodes, n)
		}
	}
}

// descend goes from the entry down to a level, always to the nearest, and returns where it ends: a node of the level above
// it, or the entry.
func (w *walker) descend(e entry, level int) uint32 {
	at := uint32(e.node)
	w.ready(1)
	var one [1]float32
	w.estimates(one[:], []uint32{at})
	best := one[0]
	for l := e.level; l > level; l-- {
		for moved := true; moved; {
			moved = false
			w.nodes = w.nodes[:0]
			entries(w.list(Node(at), l), func(_ int, n Node) bool {
				if uint32(n) < w.st.limit {
					w.nodes = append(w.nodes, uint32(n))
				}
				return true
			})
			w.estimates(w.distances(len(w.nodes)), w.nodes)
			for i, n := range w.nodes {
				if w.near[i] < best {
					best, at, moved = w.near[i], n, true
				}
			}
		}
	}
	return at
}

// approach goes down to level 1, walks there a little, and returns where walks at level 0 begin, the nearest first: one place
// alone may lie beyond a gap that level 0 does not lead across. The slice is good until the next approach.
func (w *walker) approach(e entry) []uint32 {
	w.begins = w.begins[:0]
	if e.level == 0 {
		w.begins = append(w.begins, uint32(e.node))
		return w.begins
	}
	at := [1]uint32{w.descend(e, 1)}
	w.walk(1, approachEf, at[:])
	return w.ahead()
}

// ahead returns the nearest of the pool: where a walk at the next level begins.
func (w *walker) ahead() []uint32 {
	w.begins = w.begins[:0]
	for _, entry := range w.pool[:min(approachBegins, len(w.pool))] {
		w.begins = append(w.begins, uint32(entry)>>1)
	}
	return w.begins
}

// rank compares what is in the pool by int8 codes and returns it, the nearest first.
func (w *walker) rank() []Found {
	w.nodes = w.nodes[:0]
	for _, entry := range w.pool {
		w.nodes = append(w.nodes, uint32(entry)>>1)
	}
	w.exact(w.distances(len(w.nodes)), w.nodes)
	w.found = w.found[:0]
	for i, n := range w.nodes {
		w.found = append(w.found, Found{Distance: w.near[i], Node: Node(n), Slot: atomic.LoadUint32(&w.st.slots[n])})
	}
	slices.SortFunc(w.found, compareFound)
	return w.found
}

// Searcher finds the nearest of a graph. Not safe for concurrent use: each goroutine has its own.
//
// The zero value is ready, for any graph.
type Searcher struct {
	graph   *Graph
	walker  walker
	probe   quant.Probe
	rotated quant.Rotated
	scratch quant.Scratch
}

// Query asks for the nearest of a graph.
type Query struct {
	Vector []float32 // finite, of the scheme's dimension; the searcher scales it where the graph holds vectors of length 1
	K      int       // >= 1
	Ef     int       // how many of the nearest that a walk comes by it goes on from; at least K is taken
	// Keep drops nodes by the slots that they have; nil keeps all. Walks lead through those that are dropped.
	Keep func(slot uint32) bool
}

// Search returns up to K of the nearest, the nearest first, and how many nodes it compared. The slice is good until the next
// search. Where fewer than K of what a walk came by are kept it walks again with a larger Ef, and at last compares all: K are
// found if the graph has them.
func (s *Searcher) Search(g *Graph, q Query) (found []Found, compared int) {
	epoch := g.epochs.Enter()
	defer g.epochs.Leave(epoch)
	defer s.end()
	e, ok := s.begin(g, q)
	if !ok {
		return nil, 0
	}
	ef := max(q.Ef, q.K)
	begins := s.walker.approach(e)
	for nodes := s.graph.Len(); ; ef *= 4 {
		if dearer(ef, nodes) {
			return s.all(q), nodes
		}
		s.walker.walk(0, ef, begins)
		compared += s.walker.visited.held
		found = s.kept(q)
		if len(found) >= q.K || len(s.walker.pool) < ef {
			return found[:min(q.K, len(found))], compared
		}
	}
}

// dearer reports whether a walk with an ef takes longer than to compare all nodes. In nanoseconds, some 200 for each that it keeps
// of what it comes by, and the more of the pool is moved for each; beside some 30 a node.
func dearer(ef, nodes int) bool { return 200*ef+ef*ef > 30*nodes }

// Exact is Search by comparing all.
func (s *Searcher) Exact(g *Graph, q Query) (found []Found, compared int) {
	epoch := g.epochs.Enter()
	defer g.epochs.Leave(epoch)
	defer s.end()
	if _, ok := s.begin(g, q); !ok {
		return nil, 0
	}
	return s.all(q), s.graph.Len()
}

// begin prepares the walker for a query; false: the graph is empty.
func (s *Searcher) begin(g *Graph, q Query) (entry, bool) {
	e, ok := g.entry() // before the storage, which then has it
	if !ok {
		return e, false
	}
	s.graph = g
	w := &s.walker
	w.apart = g.apartNodes()
	w.st, w.perUnit, w.inner, w.probe = g.storage.Load(), g.frame.PerUnit(), g.measure == Inner, &s.probe
	g.scheme.Rotate(&s.rotated, q.Vector)
	if g.unit {
		s.rotated.Normalize()
	}
	if w.inner {
		g.frame.InnerProbe(&s.probe, &s.rotated, &s.scratch)
	} else {
		g.frame.Probe(&s.probe, &s.rotated, &s.scratch)
		if s.probe.Estimated { // it is not as long as they are, and so nearer to the others
			w.apart = nil
		}
	}
	return e, true
}

// end lets go of the graph.
func (s *Searcher) end() {
	runtime.KeepAlive(s.walker.st)
	s.graph, s.walker.apart, s.walker.st = nil, nil, nil
}

// kept ranks the pool and leaves out what the query does not keep.
func (s *Searcher) kept(q Query) []Found {
	return slices.DeleteFunc(s.walker.rank(), func(f Found) bool { return f.Slot == freeSlot || q.Keep != nil && !q.Keep(f.Slot) })
}

// all compares every node that is in the graph with the query.
func (s *Searcher) all(q Query) []Found {
	w := &s.walker
	best := make([]Found, 0, 2*q.K)
	keep := func(n int) {
		slices.SortFunc(best, compareFound)
		best = best[:min(n, len(best))]
	}
	const step = 256
	var slots [step]uint32 // as they were when they were asked for: a node may be going
	w.nodes = w.nodes[:0]
	flush := func() {
		w.exact(w.distances(len(w.nodes)), w.nodes)
		for i, n := range w.nodes {
			best = append(best, Found{Distance: w.near[i], Node: Node(n), Slot: slots[i]})
			if len(best) == cap(best) {
				keep(q.K)
			}
		}
		w.nodes = w.nodes[:0]
	}
	for n := range min(s.graph.numbered.Load(), w.st.limit) {
		if slot := atomic.LoadUint32(&w.st.slots[n]); slot != freeSlot && (q.Keep == nil || q.Keep(slot)) {
			slots[len(w.nodes)] = slot
			if w.nodes = append(w.nodes, n); len(w.nodes) == step {
				flush()
			}
		}
	}
	flush()
	keep(q.K)
	return best
}
