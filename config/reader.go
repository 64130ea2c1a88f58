package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// reader decodes one tidied YAML tree into Go values. It is strict and never stops at the first problem: a value
// that does not fit leaves its target as it was.
type reader struct {
	file   string
	lookup LookupEnv

	problems graph.Diagnostics
	expanded map[*yaml.Node]bool     // scalars that variables were put into: text whose type its target decides
	keys     map[string]*yaml.Node   // the key of each known setting, by path
	values   map[string]*yaml.Node   // its value
	failed   []string                // the paths that did not decode, in the order they were met
	loose    map[graph.Position]bool // nodes, by the place of their name, of whose neighbours too little was read to judge them
}

func newReader(file string, lookup LookupEnv) *reader {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	return &reader{
		file: file, lookup: lookup,
		expanded: map[*yaml.Node]bool{}, keys: map[string]*yaml.Node{}, values: map[string]*yaml.Node{},
		loose: map[graph.Position]bool{},
	}
}

func (r *reader) at(n *yaml.Node) graph.Position {
	return graph.Position{File: r.file, Line: n.Line, Column: n.Column}
}

func (r *reader) problem(n *yaml.Node, message, hint string) {
	r.problems = append(r.problems, graph.Diagnostic{Pos: r.at(n), Message: message, Hint: hint})
}

// fail reports that the value of a path does not fit.
func (r *reader) fail(n *yaml.Node, path, message, hint string) {
	r.failed = append(r.failed, path)
	r.problem(n, path+": "+message, hint)
}

// value decodes n into v, which must be addressable. Settable types: bool, integers, floats, strings, time.Duration,
// encoding.TextUnmarshaler, structs of them with yaml tags, slices and arrays of them.
func (r *reader) value(n *yaml.Node, path string, v reflect.Value) {
	r.values[path] = n
	switch {
	case n.Kind == 0: // refused, and reported then
		r.failed = append(r.failed, path)
	case v.Type() == reflect.TypeFor[yaml.Node]():
		v.Set(reflect.ValueOf(*n))
	case v.Type() == reflect.TypeFor[names]() && n.Kind == yaml.ScalarNode:
		r.list(&yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{n}}, path, v)
	case isScalar(v):
		r.scalar(n, path, v)
	case v.Kind() == reflect.Struct:
		r.unknown(r.mapping(n, path, v), path, v)
	default:
		r.list(n, path, v)
	}
}

// mapping decodes a mapping into structs that share its keys, and returns the keys that none of them knows. A key without a value (all that was below it is commented out) is an empty mapping.
func (r *reader) mapping(n *yaml.Node, path string, targets ...reflect.Value) (unknown []*yaml.Node) {
	if n.Kind == 0 { // refused, and reported then
		r.failed = append(r.failed, path)
		return nil
	}
	if n.Kind != yaml.MappingNode && !isNull(n) {
		r.fail(n, path, "want a mapping (key: value), got "+describe(n), "")
		return nil
	}
	for key, value := range pairs(n) {
		field, ok := fieldOf(key.Value, targets...)
		if !ok {
			unknown = append(unknown, key)
			continue
		}
		at := join(path, key.Value)
		r.keys[at] = key
		r.value(value, at, field)
	}
	return unknown
}

func (r *reader) unknown(keys []*yaml.Node, path string, targets ...reflect.Value) {
	for _, key := range keys {
		where := ""
		if path != "" {
			where = " in " + path
		}
		r.problem(key, fmt.Sprintf("unknown key %q%s", key.Value, where), hintKey(key.Value, fieldNames(targets...)))
	}
}

// hintKey says what an unknown key seems to mean. To YAML a colon without a space after it is a part of the key.
func hintKey(key string, known []string) string {
	if name, value, ok := strings.Cut(key, ":"); ok && slices.Contains(known, name) {
		return fmt.Sprintf("write a space after the colon: %q", name+": "+value)
	}
	return graph.DidYouMean(key, known)
}

// list decodes a list into a slice or an array; an array must be filled exactly.
func (r *reader) list(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode || v.Kind() == reflect.Array && len(n.Content) != v.Len() {
		r.fail(n, path, fmt.Sprintf("want %s, got %s", wanted(v.Type()), describe(n)), "")
		return
	}
	before := len(r.failed)
	items := reflect.New(v.Type()).Elem()
	if v.Kind() == reflect.Slice && len(n.Content) > 0 {
		items.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	}
	for i, item := range n.Content {
		r.value(item, fmt.Sprintf("%s[%d]", path, i), items.Index(i))
	}
	if len(r.failed) == before {
		v.Set(items)
	}
}

// names is a list that may be written as a single scalar.
type names []string

func join(path, field string) string {
	if path == "" || field == "" {
		return path + field
	}
	return path + "." + field
}
