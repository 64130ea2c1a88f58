package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// Print writes the pipeline as it is in force, as a file that reads back as the same: every setting spelt out, with
// a comment on each that is no default saying where it came from.
func (p *Pipeline) Print(w io.Writer) error {
	root := &yaml.Node{}
	if err := root.Encode(p.Settings); err != nil {
		return fmt.Errorf("print pipeline: %w", err)
	}
	p.annotate("", root)
	for i, role := range []graph.Role{graph.RoleSource, graph.RoleStage, graph.RoleSink} {
		section, err := p.section(role)
		if err != nil {
			return fmt.Errorf("print pipeline: %w", err)
		}
		root.Content = append(root.Content, word(sections[i]), section)
	}
	escape(root)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return fmt.Errorf("print pipeline: %w", err)
	}
	return e.Close()
}

// annotate writes the origin of each setting beside it.
func (p *Pipeline) annotate(path string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if origin := p.origins[path]; origin.Layer != Defaults {
			n.LineComment = "# " + origin.Pos.String()
		}
		return
	}
	for key, value := range pairs(n) {
		p.annotate(join(path, key.Value), value)
	}
}

func (p *Pipeline) section(role graph.Role) (*yaml.Node, error) {
	section := &yaml.Node{Kind: yaml.MappingNode}
	for i := range p.Spec.Nodes {
		if p.Spec.Nodes[i].Role != role {
			continue
		}
		node, err := nodeYAML(&p.Spec.Nodes[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Spec.Nodes[i].Name, err)
		}
		section.Content = append(section.Content, word(p.Spec.Nodes[i].Name), node)
	}
	return section, nil
}

// nodeYAML is the inverse of reader.node.
func nodeYAML(spec *graph.NodeSpec) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	if spec.Kind != spec.Name {
		node.Content = append(node.Content, word(fieldNames([]reflect.Value{kindKeys(spec.Role)})[0]), word(spec.Kind))
	}
	if len(spec.From) > 0 {
		from := &yaml.Node{Kind: yaml.SequenceNode}
		for _, f := range spec.From {
			from.Content = append(from.Content, word(f.Name))
		}
		node.Content = append(node.Content, word("from"), from)
	}
	parts := map[string]any{}
	if spec.Edge != nil {
		parts["edge"] = edge{spec.Edge.Window.Items, graph.ByteSize(spec.Edge.Window.Bytes)}
	}
	if spec.Workers > 0 {
		parts["parallel"] = spec.Workers
	}
	for _, part := range []any{parts, spec.Config} {
		var own yaml.Node
		if err := own.Encode(part); err != nil {
			return nil, err
		}
		node.Content = append(node.Content, own.Content...)
	}
	return node, nil
}

// escape keeps the dollar signs of values from being read as variables.
func escape(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	for _, child := range n.Content {
		escape(child)
	}
}

func word(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}
