package graph

import (
	"fmt"
	"slices"
	"strings"
)

// resolveNames lists the nodes and refuses a name that is given twice.
func (p *plan) resolveNames() {
	for i := range p.spec.Nodes {
		n := &planNode{NodeSpec: &p.spec.Nodes[i], lanes: 1}
		if first := p.byName[n.Name]; first != nil {
			p.report(n.Pos, "give it another name", "%s %q has the name of the %s at %s", n.Role, n.Name, first.Role, first.Pos)
			p.partial = true
			p.doubles = append(p.doubles, n)
			continue
		}
		p.byName[n.Name] = n
		p.nodes = append(p.nodes, n)
	}
}

func (p *plan) resolveKinds() {
	for _, n := range p.nodes {
		n.kind = p.registry.Lookup(n.Role, n.Kind)
		if n.kind == nil {
			p.report(n.KindPos, p.hintKind(n), "unknown kind of %s %q", n.Role, n.Kind)
			n.kind, _ = p.registry.Meant(n.Role, n.Kind, n.Name) // so that what is wrong elsewhere is found in the same run
			n.guessed = true
			p.partial = p.partial || n.kind == nil
		}
	}
}

func (p *plan) hintKind(n *planNode) string {
	for _, role := range []Role{RoleSource, RoleStage, RoleSink} {
		if p.registry.Lookup(role, n.Kind) != nil {
			return fmt.Sprintf("%q is a kind of %s", n.Kind, role)
		}
	}
	return DidYouMean(n.Kind, p.registry.names(n.Role))
}

// resolveFrom connects the nodes and refuses what names nothing, names a sink, or reads what another reads.
func (p *plan) resolveFrom() {
	for _, n := range p.nodes {
		if n.Role == RoleSource {
			for _, from := range n.From {
				p.report(from.Pos, "remove it", "source %q cannot read from %q: a source has no input", n.Name, from.Name)
			}
			continue
		}
		if len(n.From) == 0 {
			p.misread[n] = true
			p.report(n.Pos, "say what it reads from", "%s %q reads from nothing, so no source reaches it", n.Role, n.Name)
		}
		for _, from := range n.From {
			p.resolve(n, from)
		}
	}
	p.guess()
}

// guess connects what reads from a misspelt name to the one that it seems to mean, so that what only follows from the
// misspelling is not reported, and what is wrong beside it is.
func (p *plan) guess() {
	for _, n := range p.nodes {
		for _, from := range n.From {
			if n.Role == RoleSource || p.byName[from.Name] != nil {
				continue
			}
			if up := p.byName[p.nearestOutput(n, from.Name)]; up != nil && len(up.down) == 0 {
				n.connect(up, from.Pos)
			}
		}
	}
}

func (n *planNode) connect(up *planNode, pos Position) {
	n.up, n.upPos = append(n.up, up), append(n.upPos, pos)
	up.down = append(up.down, n)
}

func (p *plan) resolve(n *planNode, from FromSpec) {
	up := p.byName[from.Name]
	switch {
	case up == nil:
		p.misread[n] = true
		p.report(from.Pos, p.hintAbsent(n, from.Name), "%s %q reads from %q, which is not there", n.Role, n.Name, from.Name)
	case up.Role == RoleSink:
		p.misread[n] = true
		p.report(from.Pos, "read from what the sink reads from", "%s %q reads from the sink %q, which has no output", n.Role, n.Name, up.Name)
	case slices.Contains(n.up, up):
		p.report(from.Pos, "remove one", "%s %q reads from %q twice", n.Role, n.Name, up.Name)
	default:
		n.connect(up, from.Pos)
		if first := up.down[0]; first != n {
			p.forks = append(p.forks, fork{up: up, first: first, second: n, pos: from.Pos})
		}
	}
}

// absent returns the kind of a stage that n reads from and that was left out: one that is not there, has the name of a
// kind, and is no misspelling of one that is there. Nil for any other name.
func (p *plan) absent(n *planNode, name string) *Kind {
	if p.byName[name] != nil || p.nearestOutput(n, name) != "" {
		return nil
	}
	return p.registry.Lookup(RoleStage, name)
}

func (p *plan) hintAbsent(n *planNode, name string) string {
	if k := p.absent(n, name); k != nil {
		p.suggested[k.Name] = true
		return fmt.Sprintf("add %s stage", withArticle(name))
	}
	return DidYouMean(name, p.outputs(n))
}

// fork is an output with a second reader.
type fork struct {
	up, first, second *planNode
	pos               Position
}

// checkForks refuses a second reader of an output; one that cannot take it anyway has been told so already, and an edge
// that closes a cycle has been told too: without it there may be one reader left.
func (p *plan) checkForks() {
	for _, f := range p.forks {
		_, first := p.cyclic[edgeOf{f.up, f.first}]
		_, second := p.cyclic[edgeOf{f.up, f.second}]
		if p.misread[f.second] || first || second || p.ambiguous(f.up) {
			continue
		}
		p.misread[f.second] = true
		hint := "give each a source of its own"
		if f.first.Role == RoleStage {
			hint = fmt.Sprintf("let %q read from %q, or %s", f.second.Name, f.first.Name, hint)
		}
		p.report(f.pos, hint,
			"%q is read by %q already: an item has one way through the graph, or it would be settled twice", f.up.Name, f.first.Name)
	}
}

// outputs names what a reader can read from: not itself.
func (p *plan) outputs(reader *planNode) []string {
	var names []string
	for _, n := range p.nodes {
		if n.Role != RoleSink && n != reader {
			names = append(names, n.Name)
		}
	}
	return names
}

// checkEnds refuses a graph without a source or a sink, and a node that nothing reads, unless a node that reads
// something wrong may have meant it.
func (p *plan) checkEnds() {
	for _, role := range []Role{RoleSource, RoleSink} {
		if !slices.ContainsFunc(p.spec.Nodes, func(n NodeSpec) bool { return n.Role == role }) {
			p.report(p.section(role), fmt.Sprintf("add a %s", role), "the pipeline has no %s", role)
		}
	}
	for _, n := range p.nodes {
		if n.Role != RoleSink && len(n.down) == 0 && !p.meant(n) {
			p.report(n.Pos, "let a stage or a sink read from it", "nothing reads from %s %q", n.Role, n.Name)
		}
	}
}

// ambiguous says whether a second node was given a name, so that who reads it may have meant the other.
func (p *plan) ambiguous(n *planNode) bool {
	return slices.ContainsFunc(p.doubles, func(double *planNode) bool { return double.Name == n.Name })
}

// meant says whether n is read by a node that has the name of another, or whether a node that reads something wrong
// takes what n gives, or a stage that it reads from and that was left out would.
func (p *plan) meant(n *planNode) bool {
	for _, double := range p.doubles {
		if slices.ContainsFunc(double.From, func(from FromSpec) bool { return from.Name == n.Name }) {
			return true
		}
	}
	for reader := range p.misread {
		if reader == n {
			continue
		}
		if n.kind == nil || reader.kind == nil || reader.kind.In == n.kind.Out {
			return true
		}
		for _, from := range reader.From {
			if k := p.absent(reader, from.Name); k != nil && k.In == n.kind.Out {
				return true
			}
		}
	}
	return false
}

// section is where the nodes of a role would stand.
func (p *plan) section(role Role) Position {
	if pos, ok := p.spec.Sections[role]; ok {
		return pos
	}
	return p.spec.BudgetPos
}

// edgeOf is the way from a node to one of its readers.
type edgeOf struct{ up, reader *planNode }

// sort orders the nodes topologically and refuses cycles, naming the path of each. What is on a cycle or behind one is
// ordered as if the edges that the reports are about were not there.
func (p *plan) sort() {
	p.order = p.sorted()
	for _, n := range p.nodes {
		p.tangled[n] = !slices.Contains(p.order, n)
	}
	for len(p.order) < len(p.nodes) {
		seen := make(map[*planNode]bool)
		for _, n := range p.nodes {
			if !slices.Contains(p.order, n) {
				p.reportCycle(n, seen)
			}
		}
		p.order = p.sorted()
	}
}

// sorted lists the nodes in topological order, less those on or behind a cycle that has not been reported.
func (p *plan) sorted() (order []*planNode) {
	open := make(map[*planNode]int, len(p.nodes))
	for _, n := range p.nodes {
		for _, up := range n.up {
			if !p.cyclic[edgeOf{up, n}] {
				open[n]++
			}
		}
	}
	for again := true; again; {
		again = false
		for _, n := range p.nodes {
			if open[n] != 0 {
				continue
			}
			open[n] = -1
			again = true
			order = append(order, n)
			for _, down := range n.down {
				if !p.cyclic[edgeOf{n, down}] {
					open[down]--
				}
			}
		}
	}
	return order
}

// reportCycle walks up from a node that the sort left over; it is on a cycle or behind one.
func (p *plan) reportCycle(n *planNode, seen map[*planNode]bool) {
	var path []*planNode
	for !slices.Contains(path, n) {
		if seen[n] {
			return
		}
		seen[n] = true
		path = append(path, n)
		n = p.leftover(n)
	}
	path = path[slices.Index(path, n):]
	slices.Reverse(path)
	path = p.unrolled(path)
	names := make([]string, len(path))
	for i, m := range path {
		names[i] = fmt.Sprintf("%q", m.Name)
		if i > 0 {
			p.cyclic[edgeOf{path[i-1], m}] = i == len(path)-1
		}
	}
	n = path[0]
	p.report(n.fromPos(path[len(path)-2]), hintCycle(path), "cycle: %s", strings.Join(names, " → "))
}

// unrolled makes a path of a cycle: from the node that most likely reads what it should not, to that node again. That
// is one that cannot take what it reads, else one that items come to from outside the cycle, else any, but not by its
// place in the file.
func (p *plan) unrolled(cycle []*planNode) []*planNode {
	suspicion := func(i int) int {
		up, n := cycle[(i+len(cycle)-1)%len(cycle)], cycle[i]
		switch {
		case n.kind != nil && up.kind != nil && n.kind.In != up.kind.Out:
			return 2
		case slices.ContainsFunc(n.up, func(up *planNode) bool { return !p.tangled[up] }):
			return 1
		}
		return 0
	}
	first := 0
	for i, n := range cycle {
		if d := suspicion(i) - suspicion(first); d > 0 || d == 0 && n.Name < cycle[first].Name {
			first = i
		}
	}
	return slices.Concat(cycle[first:], cycle[:first+1])
}

// hintCycle says how to break a cycle: a path whose last node is its first.
func hintCycle(path []*planNode) string {
	switch n := path[0]; {
	case len(path) > 2:
		return "let one of them read from elsewhere: a graph has no cycles"
	case len(n.From) > 1:
		return fmt.Sprintf("remove it: %q cannot read what it gives itself", n.Name)
	default:
		return fmt.Sprintf("let %q read from what comes before it", n.Name)
	}
}

// leftover returns an upstream that the sort left over too.
func (p *plan) leftover(n *planNode) *planNode {
	for _, up := range n.up {
		if !p.cyclic[edgeOf{up, n}] && !slices.Contains(p.order, up) {
			return up
		}
	}
	return n
}

func (n *planNode) fromPos(up *planNode) Position {
	if i := slices.Index(n.up, up); i >= 0 {
		return n.upPos[i]
	}
	return n.Pos
}
