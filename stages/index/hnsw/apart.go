package hnsw

import "slices"

// mostApart bounds how many nodes a search is told of that lie apart. Of more, those of the lowest numbers are places to begin at.
const mostApart = 512

// apart are nodes that are so much longer than the others that walks from among these do not lead to them: seen from there all
// others are equally far. So a search that they may be an answer to begins at them too. Up to mostApart of them are found
// whatever the lists say; of more, lists lead from those that are known to the others. Ascending, immutable.
type apart []uint32

// liesApart reports whether a node is one of them: there is no estimate, or nothing that makes it as long as the others by Inner.
func (g *Graph) liesApart(st *storage, n Node) bool {
	b := st.besideOf(n)
	return b.norm < 0 || g.measure == Inner && b.lift == 0
}

// apartNodes returns those that the graph has. It is asked before the storage is looked up, which then has them.
func (g *Graph) apartNodes() apart {
	if a := g.apart.Load(); a != nil {
		return *a
	}
	return nil
}

// setApart keeps the first of nodes, which are ascending.
func (g *Graph) setApart(nodes apart) {
	nodes = nodes[:min(len(nodes), mostApart)]
	g.apart.Store(&nodes)
}

// noteApart finds those of the batch that lie apart.
func (b *Builder) noteApart() {
	t, st := &b.batch, b.graph.storage.Load()
	t.apart = t.apart[:0]
	for _, n := range t.sorted {
		if b.graph.liesApart(st, n) {
			t.apart = append(t.apart, uint32(n))
		}
	}
}

// addApart takes in those of the batch that lie apart.
func (b *Builder) addApart() {
	if len(b.batch.apart) > 0 {
		nodes := slices.Concat(b.graph.apartNodes(), b.batch.apart)
		slices.Sort(nodes)
		b.graph.setApart(nodes)
	}
}

// findApart looks for those among all nodes, some of which are gone.
func (g *Graph) findApart(gone func(n Node) bool) {
	st := g.storage.Load()
	var nodes apart
	g.Each(func(n Node, _ uint32) bool {
		if !gone(n) && g.liesApart(st, n) {
			nodes = append(nodes, uint32(n))
		}
		return len(nodes) < mostApart
	})
	g.setApart(nodes)
}

// dropApart forgets what goes, before its numbers are retired.
func (r *removal) dropApart() {
	g := r.builder.graph
	if slices.ContainsFunc(g.apartNodes(), func(n uint32) bool { return r.gone[n] }) {
		g.findApart(func(n Node) bool { return r.gone[n] })
	}
}
