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
			n.kind = p.meantKind(n)
			p.partial = p.partial || n.kind == nil
		}
	}
}

// meantKind is the kind that an unknown one seems to mean: that of the node's name, as when it is left out, else the
// nearest. With it, what is wrong elsewhere is found in the same run. Nil: there is none.
func (p *plan) meantKind(n *planNode) *Kind {
	if k := p.registry.Lookup(n.Role, n.Name); k != nil {
		return k
	}
	return p.registry.Lookup(n.Role, nearest(n.Kind, p.kindNames(n.Role)))
}

func (p *plan) kindNames(role Role) []string {
	var names []string
	for _, k := range p.registry.Kinds(role) {
		names = append(names, k.Name)
	}
	return names
}

func (p *plan) hintKind(n *planNode) string {
	for _, role := range []Role{RoleSource, RoleStage, RoleSink} {
		if p.registry.Lookup(role, n.Kind) != nil {
			return fmt.Sprintf("%q is a kind of %s", n.Kind, role)
		}
	}
	return DidYouMean(n.Kind, p.kindNames(n.Role))
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
			if up := p.byName[nearest(from.Name, p.outputs())]; up != nil && up != n && len(up.down) == 0 {
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
		p.report(from.Pos, p.hintAbsent(from.Name), "%s %q reads from %q, which is not there", n.Role, n.Name, from.Name)
	case up.Role == RoleSink:
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

// absent returns the kind of a stage that was left out: one that is not there, has the name of a kind, and is no
// misspelling of one that is there. Nil for any other name.
func (p *plan) absent(name string) *Kind {
	if p.byName[name] != nil || nearest(name, p.outputs()) != "" {
		return nil
	}
	return p.registry.Lookup(RoleStage, name)
}

func (p *plan) hintAbsent(name string) string {
	if k := p.absent(name); k != nil {
		p.suggested[k.Name] = true
		return fmt.Sprintf("add %s stage", withArticle(name))
	}
	return DidYouMean(name, p.outputs())
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
		if p.misread[f.second] || first || second {
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

func (p *plan) outputs() []string {
	var names []string
	for _, n := range p.nodes {
		if n.Role != RoleSink {
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
			p.report(p.start(), fmt.Sprintf("add a %s", role), "the pipeline has no %s", role)
		}
	}
	for _, n := range p.nodes {
		if n.Role != RoleSink && len(n.down) == 0 && !p.meant(n) {
			p.report(n.Pos, "let a stage or a sink read from it", "nothing reads from %s %q", n.Role, n.Name)
		}
	}
}

// meant says whether a node that reads something wrong takes what n gives, or a stage that it reads from and that was
// left out would.
func (p *plan) meant(n *planNode) bool {
	for reader := range p.misread {
		if n.kind == nil || reader.kind == nil || reader.kind.In == n.kind.Out {
			return true
		}
		for _, from := range reader.From {
			if k := p.absent(from.Name); k != nil && k.In == n.kind.Out {
				return true
			}
		}
	}
	return false
}

func (p *plan) start() Position {
	if len(p.spec.Nodes) == 0 {
		return p.spec.BudgetPos
	}
	return p.spec.Nodes[0].Pos
}

// edgeOf is the way from a node to one of its readers.
type edgeOf struct{ up, reader *planNode }

// sort orders the nodes topologically and refuses cycles, naming the path of each.
func (p *plan) sort() {
	open := make(map[*planNode]int, len(p.nodes))
	for _, n := range p.nodes {
		open[n] = len(n.up)
	}
	for again := true; again; {
		again = false
		for _, n := range p.nodes {
			if open[n] != 0 {
				continue
			}
			open[n] = -1
			again = true
			p.order = append(p.order, n)
			for _, down := range n.down {
				open[down]--
			}
		}
	}
	seen := make(map[*planNode]bool)
	for _, n := range p.nodes {
		if open[n] > 0 {
			p.reportCycle(n, seen)
		}
	}
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
		n = n.leftover(p.order)
	}
	path = append(path[slices.Index(path, n):], n)
	slices.Reverse(path)
	names := make([]string, len(path))
	for i, m := range path {
		names[i] = fmt.Sprintf("%q", m.Name)
		if i > 0 {
			p.cyclic[edgeOf{path[i-1], m}] = i == len(path)-1
		}
	}
	p.report(n.fromPos(path[len(path)-2]), hintCycle(path), "cycle: %s", strings.Join(names, " → "))
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
func (n *planNode) leftover(sorted []*planNode) *planNode {
	for _, up := range n.up {
		if !slices.Contains(sorted, up) {
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
