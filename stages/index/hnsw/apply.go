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

// apply writes what was chosen: each node's own lists, then, target by target, those of what it has chosen.
func (b *Builder) apply(workers int) {
	t := &b.batch
	if !t.began {
		return
	}
	b.each(workers, len(t.items), func(l *linker, i int) { l.write(i) })
	t.found = t.found[:0]
	for i := range t.items {
		t.found = append(t.found, t.links[i]...)
	}
	slices.SortFunc(t.found, func(x, y link) int {
		return cmp.Or(cmp.Compare(x.target, y.target), cmp.Compare(x.level, y.level), cmp.Compare(holding(y), holding(x)),
			cmp.Compare(x.distance, y.distance), cmp.Compare(x.source, y.source))
	})
	groups := t.groups[:0]
	for i := range t.found {
		if i == 0 || t.found[i].target != t.found[i-1].target || t.found[i].level != t.found[i-1].level {
			groups = append(groups, int32(i))
		}
	}
	count := len(groups)
	groups = append(groups, int32(len(t.found)))
	t.groups = groups
	b.each(workers, count, func(l *linker, i int) { l.answer(t.found[t.groups[i]:t.groups[i+1]]) })
	for _, l := range b.workers {
		t.orphans = append(t.orphans, l.orphans...)
		l.orphans = l.orphans[:0]
	}
	slices.SortFunc(t.orphans, func(x, y orphan) int {
		return cmp.Or(cmp.Compare(x.node, y.node), cmp.Compare(x.level, y.level))
	})
	for _, o := range t.orphans {
		b.linker(0).adopt(o)
	}
}

func holding(k link) int {
	if k.holds {
		return 1
	}
	return 0
}

// answer has one target list the sources that have chosen it.
func (l *linker) answer(links []link) {
	target, level := links[0].target, int(links[0].level)
	list := l.st.list(target, level)
	holds := l.holds(target, level)
	for _, k := range links {
		switch at := indexOf(list, k.source); {
		case at >= 0: // two of the batch have chosen each other
			if k.holds {
				l.set(target, level, at, uint32(k.source), true, k.distance)
			}
		case k.holds && holds >= l.builder.mostHeld(level):
			l.orphans = append(l.orphans, orphan{node: k.source, parent: target, level: level})
			continue
		default:
			l.answerOne(k, list)
		}
		if k.holds {
			holds++
		}
	}
}

func indexOf(list []uint32, n Node) int {
	for i, e := range list {
		if e == none {
			break
		}
		if Node(e&mask) == n {
			return i
		}
	}
	return -1
}

// answerOne has a target list a source. In a full list it takes the place of what is nearer to the source than to the target,
// the farthest first; where something listed is nearer to the source than the target is, nothing changes.
func (l *linker) answerOne(k link, list []uint32) {
	level := int(k.level)
	if l.append(k.target, level, uint32(k.source), k.holds, k.distance) {
		return
	}
	distances := l.st.listDistances(k.target, level)
	l.nodes = l.nodes[:0]
	for _, e := range list {
		l.nodes = append(l.nodes, e&mask)
	}
	l.nodes = append(l.nodes, uint32(k.target))
	if len(l.pairs) < len(l.nodes) {
		l.pairs = make([]float32, 2*len(l.nodes))
	}
	apart := l.pairs[:len(l.nodes)]
	l.roughly(apart, k.source, l.nodes)
	own := apart[len(list)]
	worst, farthest := -1, -1
	for i, e := range list {
		if distances[i] <= k.distance {
			if shadows(apart[i], own) && !k.holds {
				return
			}
		}
		if e&held != 0 {
			continue
		}
		if farthest < 0 || distances[i] > distances[farthest] {
			farthest = i
		}
		if distances[i] > k.distance && shadows(apart[i], own) && (worst < 0 || distances[i] > distances[worst]) {
			worst = i
		}
	}
	switch {
	case worst >= 0:
	case farthest >= 0 && (k.holds || distances[farthest] > k.distance):
		worst = farthest
	default:
		return
	}
	l.set(k.target, level, worst, uint32(k.source), k.holds, k.distance)
}

// adopt gives an orphan a parent with room: one that its parent holds, or that these hold, and so on. All of the tree have
// room at some distance, since those who hold nothing do.
func (l *linker) adopt(o orphan) {
	b := l.builder
	if at := indexOf(l.st.list(o.node, o.level), o.parent); at >= 0 {
		l.set(o.node, o.level, at, uint32(o.parent), false, l.st.listDistances(o.node, o.level)[at])
	}
	parent, ok := l.roomBeside(o, b.owed)
	if !ok {
		parent, ok = l.roomBeside(o, nil)
	}
	if !ok {
		panic("hnsw: the tree has no room")
	}
	l.hold(parent, o.node, o.level)
}

// roomBeside finds the first with room, beside what is owed, on the way through the tree from an orphan's parent.
func (l *linker) roomBeside(o orphan, owed map[place]int) (Node, bool) {
	queue, seen := []Node{o.parent}, map[Node]bool{o.parent: true, o.node: true}
	for ; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		if l.holds(n, o.level)+owed[place{n, o.level}] < l.builder.mostHeld(o.level) {
			return n, true
		}
		for _, e := range l.st.list(n, o.level) {
			if e == none {
				break
			}
			if child := Node(e & mask); e&held != 0 && !seen[child] {
				seen[child] = true
				queue = append(queue, child)
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
