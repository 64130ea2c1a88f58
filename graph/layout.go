package graph

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Layout is how a graph is built: its nodes in topological order.
type Layout []Placed

// Placed is a node with what leads into it.
type Placed struct {
	Name string
	Kind string
	Role Role
	From []string // who it reads from; empty for a source

	Fused   bool   // it runs on the goroutines of those, with no queue between
	Edge    Window // the window of its queue; zero when there is none
	Lanes   int    // ordered lanes of its input, each with goroutines of its own
	Workers int    // goroutines a lane; 0 when fused, and of a source
}

// Layout returns how the graph is built.
func (e *Engine) Layout() Layout {
	all := make(Layout, 0, len(e.hosts))
	for _, h := range e.hosts {
		p := Placed{
			Name: h.name, Kind: h.kind, Role: h.role, Fused: h.edge == nil && h.role != RoleSource, Lanes: h.lanes, Workers: h.workers,
		}
		for _, up := range h.up {
			p.From = append(p.From, up.name)
		}
		if h.edge != nil {
			p.Edge = h.edge.stats().Window
		}
		all = append(all, p)
	}
	return all
}

// runs groups the nodes that have no queue between them, in order. A node that several feed joins their runs.
func (l Layout) runs() (runs []Layout) {
	run := make(map[string]int, len(l)) // of each node, by name
	for _, n := range l {
		if !n.Fused {
			run[n.Name] = len(runs)
			runs = append(runs, Layout{n})
			continue
		}
		at := run[n.From[0]]
		for _, other := range n.From[1:] {
			from := run[other]
			if from == at {
				continue
			}
			runs[at] = append(runs[at], runs[from]...)
			for _, moved := range runs[from] {
				run[moved.Name] = at
			}
			runs[from] = nil
		}
		run[n.Name] = at
		runs[at] = append(runs[at], n)
	}
	return slices.DeleteFunc(runs, func(r Layout) bool { return len(r) == 0 })
}

// title says on whose goroutines a run of several nodes runs.
func (l Layout) title() string {
	switch first := l[0]; {
	case first.Role == RoleSource:
		return "on the goroutines of the clients' streams and calls"
	case first.Lanes*first.Workers > 1:
		return fmt.Sprintf("on the %d goroutines of %s", first.Lanes*first.Workers, first.Name)
	default:
		return "on the goroutine of " + first.Name
	}
}

// lines are what a picture says of a node.
func (n *Placed) lines() []string {
	said := []string{n.Name}
	if n.Kind != n.Name {
		said = append(said, "kind "+n.Kind)
	}
	if n.Role != RoleStage {
		said = append(said, n.Role.String())
	}
	if n.Lanes > 1 && !n.Fused {
		said = append(said, fmt.Sprintf("%d lanes", n.Lanes))
	}
	if n.Workers > 1 {
		said = append(said, fmt.Sprintf("%d in parallel", n.Workers))
	}
	return said
}

func (w Window) lines() []string {
	return []string{fmt.Sprintf("%d items", w.Items), ByteSize(w.Bytes).String()}
}

// picture writes a layout in a language for graphs: the nodes run by run, and then the edges between the runs.
type picture struct {
	strings.Builder
	node func(n *Placed) string
	edge func(from, to *Placed) string
	open func(number int, title string) string
	shut string
}

func (p *picture) draw(l Layout) {
	byName := make(map[string]*Placed, len(l))
	for i := range l {
		byName[l[i].Name] = &l[i]
	}
	for i, run := range l.runs() {
		indent := "  "
		if len(run) > 1 {
			fmt.Fprintln(p, indent+p.open(i+1, run.title()))
			indent += "  "
		}
		for _, n := range run {
			fmt.Fprintln(p, indent+p.node(&n))
		}
		if len(run) > 1 {
			fmt.Fprintln(p, "  "+p.shut)
		}
	}
	for i := range l {
		for _, from := range l[i].From {
			fmt.Fprintln(p, "  "+p.edge(byName[from], &l[i]))
		}
	}
}

// WriteDOT writes the layout in Graphviz's language (graphviz.org/doc/info/lang.html): nodes with no queue between them
// share a cluster, and the other edges say how much their queues hold.
func (l Layout) WriteDOT(w io.Writer) error {
	p := picture{
		node: func(n *Placed) string {
			shape := "box"
			if n.Role != RoleStage {
				shape = "ellipse"
			}
			return fmt.Sprintf("%s [label=%s, shape=%s]", dotQuote(n.Name), dotQuote(n.lines()...), shape)
		},
		edge: func(from, to *Placed) string {
			way := dotQuote(from.Name) + " -> " + dotQuote(to.Name)
			if to.Fused {
				return way
			}
			return way + " [label=" + dotQuote(to.Edge.lines()...) + "]"
		},
		open: func(number int, title string) string {
			return fmt.Sprintf("subgraph cluster_%d {\n    label=%s", number, dotQuote(title))
		},
		shut: "}",
	}
	p.WriteString("digraph pipeline {\n  rankdir=LR\n")
	p.draw(l)
	p.WriteString("}\n")
	_, err := io.WriteString(w, p.String())
	return err
}

var dotEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ")

// dotQuote makes a quoted string of lines.
func dotQuote(lines ...string) string {
	escaped := make([]string, len(lines))
	for i, line := range lines {
		escaped[i] = dotEscapes.Replace(line)
	}
	return `"` + strings.Join(escaped, `\n`) + `"`
}

// WriteMermaid writes the layout as a flowchart of Mermaid (mermaid.js.org/syntax/flowchart.html), as WriteDOT does.
func (l Layout) WriteMermaid(w io.Writer) error {
	ids := make(map[string]string, len(l))
	for i, n := range l {
		ids[n.Name] = fmt.Sprintf("n%d", i+1) // a name may be one of the language's words
	}
	p := picture{
		node: func(n *Placed) string {
			if n.Role != RoleStage {
				return ids[n.Name] + "([" + mermaidQuote(n.lines()...) + "])"
			}
			return ids[n.Name] + "[" + mermaidQuote(n.lines()...) + "]"
		},
		edge: func(from, to *Placed) string {
			if to.Fused {
				return ids[from.Name] + " --> " + ids[to.Name]
			}
			return ids[from.Name] + " -->|" + mermaidQuote(to.Edge.lines()...) + "| " + ids[to.Name]
		},
		open: func(number int, title string) string {
			return fmt.Sprintf("subgraph run%d[%s]", number, mermaidQuote(title))
		},
		shut: "end",
	}
	p.WriteString("flowchart LR\n")
	p.draw(l)
	_, err := io.WriteString(w, p.String())
	return err
}

var mermaidEscapes = strings.NewReplacer("#", "#35;", "&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;", "\n", " ")

func mermaidQuote(lines ...string) string {
	escaped := make([]string, len(lines))
	for i, line := range lines {
		escaped[i] = mermaidEscapes.Replace(line)
	}
	return `"` + strings.Join(escaped, "<br/>") + `"`
}
