package hnsw

import (
	"cmp"
	"slices"
)

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
	b.adoptAll()
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
