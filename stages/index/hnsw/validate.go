package hnsw

import (
	"errors"
	"fmt"
	"math"
	"runtime"
)

// mostFaults bounds how many faults Validate tells of.
const mostFaults = 20

// Validate returns what is wrong with a graph, joined; nil: nothing. It looks for entries that name no node or one that does
// not reach the level, for nodes listed twice or by themselves, for nodes that the tree does not hold or that cannot be reached
// from the entry, by the tree alone too, and for numbers of nodes at each level that their law makes all but impossible. It
// visits every node, and must not run beside a builder.
func Validate(g *Graph) error {
	v := &validator{g: g, st: g.storage.Load()}
	defer runtime.KeepAlive(v.st)
	e, ok := g.entry()
	if !ok {
		if g.Len() != 0 {
			v.fault("%d nodes, and no entry", g.Len())
		}
		return errors.Join(v.faults...)
	}
	v.nodes()
	if !v.in(e.node) || int(v.st.levels[e.node]) != e.level {
		v.fault("the entry is node %d at level %d, which is not one of the graph", e.node, e.level)
		return errors.Join(v.faults...)
	}
	for level := range v.counts {
		v.lists(level)
	}
	if len(v.faults) == 0 {
		for level, count := range v.counts {
			v.reach(e, level, count, "by its lists", func(uint32) bool { return true })
			v.reach(e, level, count, "by the tree", func(e uint32) bool { return e&held != 0 })
		}
	}
	v.law()
	return errors.Join(v.faults...)
}

type validator struct {
	g      *Graph
	st     *storage
	counts []int // nodes that reach each level
	faults []error
}

func (v *validator) fault(format string, args ...any) {
	if len(v.faults) < mostFaults {
		v.faults = append(v.faults, fmt.Errorf("hnsw: "+format, args...))
	}
}

func (v *validator) in(n Node) bool {
	return uint32(n) < min(v.st.limit, v.g.numbered.Load()) && v.g.has(v.st, n)
}

// each calls visit for every node that reaches a level.
func (v *validator) each(level int, visit func(n Node)) {
	for n := range Node(min(v.g.numbered.Load(), v.st.limit)) {
		if v.in(n) && int(v.st.levels[n]) >= level {
			visit(n)
		}
	}
}

func (v *validator) nodes() {
	v.each(0, func(n Node) {
		for len(v.counts) <= int(v.st.levels[n]) {
			v.counts = append(v.counts, 0)
		}
		for level := range int(v.st.levels[n]) + 1 {
			v.counts[level]++
		}
	})
	if len(v.counts) > 0 && v.counts[0] != v.g.Len() {
		v.fault("%d nodes where %d are counted", v.counts[0], v.g.Len())
	}
}

func (v *validator) lists(level int) {
	v.each(level, func(n Node) {
		seen := map[Node]bool{}
		ended := false
		for _, e := range v.st.list(n, level) {
			other := Node(e & mask)
			switch {
			case e == none:
				ended = true
			case ended:
				v.fault("level %d: the list of %d goes on behind its end", level, n)
			case !v.in(other) || int(v.st.levels[other]) < level:
				v.fault("level %d: %d lists %d, which does not reach the level", level, n, other)
			case other == n:
				v.fault("level %d: %d lists itself", level, n)
			case seen[other]:
				v.fault("level %d: %d lists %d twice", level, n, other)
			case e&held != 0 && !v.holds(other, n, level):
				v.fault("level %d: %d and %d disagree on whether they hold each other", level, n, other)
			}
			seen[other] = true
		}
	})
}

func (v *validator) holds(n, other Node, level int) bool {
	list := v.st.list(n, level)
	at := indexOf(list, other)
	return at >= 0 && list[at]&held != 0
}

// reach counts the nodes of a level that entries lead to, from the entry or, where that is above, from the node that holds all.
func (v *validator) reach(e entry, level, count int, how string, follow func(entry uint32) bool) {
	seen := make([]bool, v.g.numbered.Load())
	stack := []Node{e.node}
	seen[e.node] = true
	reached := 0
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		reached++
		for _, e := range v.st.list(n, level) {
			if e == none {
				break
			}
			if other := Node(e & mask); follow(e) && !seen[other] {
				seen[other] = true
				stack = append(stack, other)
			}
		}
	}
	if reached != count {
		v.fault("level %d: %d of %d nodes can be reached from the entry %s", level, reached, count, how)
	}
}

// law compares how many nodes reach each level with what is expected of independent draws: six standard deviations are met once
// in five hundred million times.
func (v *validator) law() {
	p := 1.0
	for level := 1; level < mostLevels; level++ {
		p /= float64(v.st.degree / 2)
		n := float64(v.g.Len())
		got := 0
		if level < len(v.counts) {
			got = v.counts[level]
		}
		if d := math.Abs(float64(got) - n*p); d > 6*math.Sqrt(n*p*(1-p))+6 {
			v.fault("level %d: %d of %.0f nodes reach it, and %.0f are expected", level, got, n, n*p)
		}
	}
}
