package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// checkTypes refuses a node that reads what it does not take, and looks for kinds that would convert.
func (p *plan) checkTypes() {
	for _, n := range p.nodes {
		for _, up := range n.up {
			if n.kind == nil || up.kind == nil || n.kind.In == up.kind.Out {
				continue
			}
			p.misread[n] = true
			if p.cyclic[edgeOf{up, n}] || p.ambiguous(up) {
				continue
			}
			takes, gives := typeNames(n.kind.In, up.kind.Out)
			p.report(n.fromPos(up), p.hintConvert(up, n), "%q takes %s, but %q gives %s", n.Name, takes, up.Name, gives)
		}
	}
}

// hintConvert names the shortest chain of stage kinds that leads from one type to the other, else a node of the
// pipeline that gives what is taken.
func (p *plan) hintConvert(up, n *planNode) string {
	if chain := p.conversion(up.kind.Out, n.kind.In); chain != nil {
		stages := make([]string, len(chain))
		for i, k := range chain {
			p.suggested[k] = true
			stages[i] = withArticle(k) + " stage"
		}
		return fmt.Sprintf("put %s between them", strings.Join(stages, " and "))
	}
	var givers []string
	for _, other := range p.nodes {
		if other != n && other.kind != nil && other.kind.Out == n.kind.In {
			givers = append(givers, fmt.Sprintf("%q", other.Name))
		}
	}
	if len(givers) > 0 {
		return fmt.Sprintf("%q can read from %s", n.Name, strings.Join(givers, " or "))
	}
	return ""
}

// conversion searches breadth first for the kinds, in order, that make `to` of `from`.
func (p *plan) conversion(from, to reflect.Type) []string {
	type step struct {
		at    reflect.Type
		names []string
	}
	seen := map[reflect.Type]bool{from: true}
	for queue := []step{{at: from}}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		for _, k := range p.registry.Kinds(RoleStage) {
			if k.In != s.at || seen[k.Out] {
				continue
			}
			names := append(slices.Clip(s.names), k.Name)
			if k.Out == to {
				return names
			}
			seen[k.Out] = true
			queue = append(queue, step{at: k.Out, names: names})
		}
	}
	return nil
}

// typeNames names two item types as briefly as tells them apart.
func typeNames(a, b reflect.Type) (string, string) {
	x, y := typeName(a), typeName(b)
	if x == y {
		return a.String(), b.String()
	}
	return x, y
}

// typeName is a type's own name, or its full form when it has none.
func typeName(t reflect.Type) string {
	if name := t.Name(); name != "" && !strings.ContainsAny(name, "[/") {
		return name
	}
	return t.String()
}
