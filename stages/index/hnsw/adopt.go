package hnsw

import (
	"cmp"
	"slices"
)

// orphan is a node whose parent had no room to hold it.
type orphan struct {
	node, parent Node
	level        int
}

// adoptAll gives the orphans of a batch parents. Those of the same parent share one search, which goes on where it found room for
// the last one: a thousand equal vectors have one parent, and a search of each one's own would pass all that the others have
// filled (22 times an insert's time in a graph of 20,000 equals).
func (b *Builder) adoptAll() {
	orphans := b.batch.orphans
	slices.SortFunc(orphans, func(x, y orphan) int {
		return cmp.Or(cmp.Compare(x.node, y.node), cmp.Compare(x.level, y.level))
	})
	searches := map[place]*roomSearch{}
	for _, o := range orphans {
		at := place{o.parent, o.level}
		if searches[at] == nil {
			searches[at] = newRoomSearch(o)
		}
		b.linker(0).adopt(o, searches[at])
	}
}

// adopt gives an orphan a parent with room: one that its parent holds, or that these hold, and so on. All of the tree have
// room at some distance, since those who hold nothing do.
func (l *linker) adopt(o orphan, search *roomSearch) {
	b := l.builder
	if at := indexOf(l.st.list(o.node, o.level), o.parent); at >= 0 {
		l.set(o.node, o.level, at, uint32(o.parent), false, l.st.listDistances(o.node, o.level)[at])
	}
	parent, ok := search.next(l, b.owed)
	if !ok {
		parent, ok = newRoomSearch(o).next(l, nil)
	}
	if !ok {
		panic("hnsw: the tree has no room")
	}
	l.hold(parent, o.node, o.level)
}

// roomSearch goes through the tree from an orphan's parent, breadth first, to those that have room. The orphan itself is not met: it
// is held by nobody yet. While a batch is inserted nobody on the way gets room: nodes are held in addition alone. So the search
// may go on from where it was for the next orphan, and comes where one that began anew would.
type roomSearch struct {
	level int
	queue []Node
	seen  map[Node]bool
}

func newRoomSearch(o orphan) *roomSearch {
	return &roomSearch{level: o.level, queue: []Node{o.parent}, seen: map[Node]bool{o.parent: true}}
}

// next finds the first with room, beside what is owed.
func (s *roomSearch) next(l *linker, owed map[place]int) (Node, bool) {
	for ; len(s.queue) > 0; s.queue = s.queue[1:] {
		n := s.queue[0]
		if l.holds(n, s.level)+owed[place{n, s.level}] < l.builder.mostHeld(s.level) {
			return n, true
		}
		l.builder.passed++
		for _, e := range l.st.list(n, s.level) {
			if e == none {
				break
			}
			if child := Node(e & mask); e&held != 0 && !s.seen[child] {
				s.seen[child] = true
				s.queue = append(s.queue, child)
			}
		}
	}
	return 0, false
}

// hold makes two nodes list each other for good.
func (l *linker) hold(a, z Node, level int) {
	var distance [1]float32
	l.between(distance[:], a, []uint32{uint32(z)})
	for _, side := range [2][2]Node{{a, z}, {z, a}} {
		n, other := side[0], side[1]
		list := l.st.list(n, level)
		at := indexOf(list, other)
		if at < 0 {
			at = l.place(n, level)
		}
		l.set(n, level, at, uint32(other), true, distance[0])
	}
}

// place returns where a list takes a node that it has to take: its end, or the farthest that is not of the tree.
func (l *linker) place(n Node, level int) int {
	list, distances := l.st.list(n, level), l.st.listDistances(n, level)
	farthest := -1
	for i, e := range list {
		if e == none {
			return i
		}
		if e&held == 0 && (farthest < 0 || distances[i] > distances[farthest]) {
			farthest = i
		}
	}
	if farthest < 0 {
		panic("hnsw: a list has no room")
	}
	return farthest
}
