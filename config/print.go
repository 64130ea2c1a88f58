package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// Print writes the pipeline as it is in force, as a file that reads back as the same: every setting spelt out, with
// a comment on each that is no default saying where it came from.
func (p *Pipeline) Print(w io.Writer) error {
	root := written(reflect.ValueOf(&p.Settings).Elem())
	p.annotate("", root)
	for _, role := range roles {
		root.Content = append(root.Content, word(sectionOf(role)), p.section(role))
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
	if n.Kind != yaml.MappingNode {
		if origin := p.origins[path]; origin.Layer != Defaults {
			n.LineComment = "# " + origin.Pos.String()
		}
		return
	}
	for key, value := range pairs(n) {
		p.annotate(join(path, key.Value), value)
	}
}

func (p *Pipeline) section(role graph.Role) *yaml.Node {
	section := &yaml.Node{Kind: yaml.MappingNode}
	for i := range p.Spec.Nodes {
		n := &p.Spec.Nodes[i]
		if n.Role != role {
			continue
		}
		node := nodeYAML(n)
		p.annotate(join(sectionOf(role), n.Name), node)
		section.Content = append(section.Content, word(n.Name), node)
	}
	return section
}

// nodeYAML is the inverse of reader.node: the wiring first, then the kind's own settings.
func nodeYAML(spec *graph.NodeSpec) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	add := func(key string, value any) {
		node.Content = append(node.Content, word(key), written(addressable(value)))
	}
	if spec.Kind != spec.Name {
		add(kindKey(spec.Role), spec.Kind)
	}
	if len(spec.From) > 0 {
		from := make(names, 0, len(spec.From))
		for _, f := range spec.From {
			from = append(from, f.Name)
		}
		add("from", from)
	}
	if spec.Edge != nil {
		add("edge", edge{spec.Edge.Window.Items, graph.ByteSize(spec.Edge.Window.Bytes)})
	}
	if spec.Workers > 0 {
		add("parallel", spec.Workers)
	}
	if spec.Config != nil {
		node.Content = append(node.Content, written(reflect.ValueOf(spec.Config).Elem()).Content...)
	}
	return node
}

// written is the inverse of reader.value. (The library's own encoder breaks on strings that begin with a line break.)
func written(v reflect.Value) *yaml.Node {
	switch {
	case isScalar(v):
		return writtenScalar(v)
	case v.Kind() == reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for i := range v.NumField() {
			if name, ok := settingName(v.Type().Field(i)); ok {
				n.Content = append(n.Content, word(name), written(v.Field(i)))
			}
		}
		return n
	default:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			n.Content = append(n.Content, written(v.Index(i)))
		}
		return n
	}
}

func writtenScalar(v reflect.Value) *yaml.Node {
	switch value := v.Addr().Interface().(type) {
	case *time.Duration:
		return word(value.String())
	case encoding.TextMarshaler:
		if text, err := value.MarshalText(); err == nil {
			return word(string(text))
		}
	}
	if v.Kind() == reflect.String {
		return word(v.String())
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v.Interface())}
}

func addressable(value any) reflect.Value {
	v := reflect.New(reflect.TypeOf(value)).Elem()
	v.Set(reflect.ValueOf(value))
	return v
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

// word is a text on one line; what would not read back as text gets quotes.
func word(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if strings.ContainsFunc(text, unicode.IsControl) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
