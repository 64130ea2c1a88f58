package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// The keys by which a node names its kind; without one the node's own name is its kind.
type (
	sourceKind struct {
		Transport string `yaml:"transport"`
	}
	stageKind struct {
		Kind string `yaml:"kind"`
	}
	sinkKind struct {
		To        string `yaml:"to"`
		Transport string `yaml:"transport"`
	}
)

// inputs are the wiring keys of a stage or a sink.
type inputs struct {
	From     names `yaml:"from"`
	Edge     edge  `yaml:"edge"`
	Parallel int   `yaml:"parallel"`
}

type edge struct {
	Items int            `yaml:"items"`
	Bytes graph.ByteSize `yaml:"bytes"`
}

// nodeName keeps names fit for metrics, logs and paths.
var nodeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)

// top decodes the keys at the root of a file.
func (r *reader) top(root *yaml.Node, settings *Settings, wiring *outline) {
	r.tidy(root)
	targets := []reflect.Value{reflect.ValueOf(settings).Elem(), reflect.ValueOf(wiring).Elem()}
	r.unknown(r.mapping(root, "", targets...), "", targets...)
}

// readFile lays a file over the defaults.
func (p *Pipeline) readFile(r *reader, root *yaml.Node, base defaultPart, registry *graph.Registry) {
	var wiring outline
	r.top(root, &p.Settings, &wiring)
	p.note(r)
	if root.Kind == 0 { // refused as a whole
		p.problems = r.problems
		return
	}
	if r.keys["version"] == nil {
		r.problem(root, "the key version is missing", fmt.Sprintf(`begin with "version: %d"`, formatVersion))
	}
	nodesFrom := r
	p.readable = isSection(&wiring.Sources) && isSection(&wiring.Stages) && isSection(&wiring.Sinks)
	switch missing := r.missingSections(); len(missing) {
	case 0:
	case len(sections):
		nodesFrom, wiring, p.readable = base.reader, base.wiring, true
	default:
		p.readable = false // half a wiring would only be told that the other half is not there
		r.problem(root, strings.Join(missing, " and ")+" missing: sources, stages and sinks come together",
			"write all three, or none to run the default ones")
	}
	p.Spec.Nodes = slices.Concat(
		nodesFrom.nodes(&wiring.Sources, "sources", graph.RoleSource, registry),
		nodesFrom.nodes(&wiring.Stages, "stages", graph.RoleStage, registry),
		nodesFrom.nodes(&wiring.Sinks, "sinks", graph.RoleSink, registry),
	)
	p.noteNodes(nodesFrom)
	p.Spec.Sections = map[graph.Role]graph.Position{
		graph.RoleSource: nodesFrom.atKey("sources"), graph.RoleStage: nodesFrom.atKey("stages"), graph.RoleSink: nodesFrom.atKey("sinks"),
	}
	p.problems, p.loose = nodesFrom.problems, nodesFrom.loose
	if nodesFrom != r {
		p.problems = append(p.problems, r.problems...)
	}
	p.loosenUnread()
}

// loosenUnread takes it that what nothing reads is read by a node whose inputs could not be read, if there is one.
func (p *Pipeline) loosenUnread() {
	if len(p.loose) == 0 {
		return
	}
	read := map[string]bool{}
	for _, n := range p.Spec.Nodes {
		for _, from := range n.From {
			read[from.Name] = true
		}
	}
	for _, n := range p.Spec.Nodes {
		if n.Role != graph.RoleSink && !read[n.Name] {
			p.loose[n.Pos] = true
		}
	}
}

// The sections of a file, and the role of each one's nodes.
var (
	sections = []string{"sources", "stages", "sinks"}
	roles    = []graph.Role{graph.RoleSource, graph.RoleStage, graph.RoleSink}
)

func sectionOf(role graph.Role) string { return sections[slices.Index(roles, role)] }

func (r *reader) missingSections() []string {
	return slices.DeleteFunc(slices.Clone(sections), func(name string) bool { return r.keys[name] != nil })
}

// atKey is where the key of a path stands, if it does.
func (r *reader) atKey(path string) graph.Position {
	if key := r.keys[path]; key != nil {
		return r.at(key)
	}
	return graph.Position{File: r.file, Line: 1, Column: 1}
}

// isSection says whether a value can hold nodes. Without one of the sections the wiring cannot be judged.
func isSection(n *yaml.Node) bool { return n.Kind == yaml.MappingNode || isNull(n) }

// nodes decodes one section.
func (r *reader) nodes(section *yaml.Node, path string, role graph.Role, registry *graph.Registry) (specs []graph.NodeSpec) {
	if section.Kind == 0 {
		return nil
	}
	if !isSection(section) {
		r.fail(section, path, "want a mapping (name: { … }), got "+describe(section), "")
		return nil
	}
	for key, value := range pairs(section) {
		at := join(path, key.Value)
		r.keys[at] = key
		if !nodeName.MatchString(key.Value) {
			r.problem(key, fmt.Sprintf("%q cannot be a name", shortened(key.Value)), "up to 63 letters, digits, - and _, a letter first")
		}
		specs = append(specs, r.node(key, value, at, role, registry))
	}
	return specs
}

// node decodes one source, stage or sink: its wiring, and what else it holds into its kind's own config, or into that of
// the kind that an unknown one seems to mean; that it is unknown is for the graph to say. When nothing but the node's
// name speaks for a kind, a key that it does not have may be right.
func (r *reader) node(key, value *yaml.Node, path string, role graph.Role, registry *graph.Registry) graph.NodeSpec {
	spec := graph.NodeSpec{Name: key.Value, Role: role, Pos: r.at(key)}
	var wired inputs
	targets := []reflect.Value{kindKeys(role)}
	spec.Kind, spec.KindPos = r.kindOf(key, value, targets[0])
	if role != graph.RoleSource {
		targets = append(targets, reflect.ValueOf(&wired).Elem())
	}
	kind, known := registry.Lookup(role, spec.Kind), true
	if kind == nil {
		kind, known = registry.Meant(role, spec.Kind, spec.Name)
	}
	if kind != nil {
		spec.Config = kind.NewConfig()
		targets = append(targets, reflect.ValueOf(spec.Config).Elem())
	}
	before := len(r.failed)
	unknown := r.mapping(value, path, targets...)
	if known {
		r.unknown(unknown, path, targets...)
	}
	if kind != nil && !r.check(value, path, targets[len(targets)-1], slices.Clone(r.failed[before:])) {
		spec.Config = r.repaired(spec.Config, kind.NewConfig, path, before)
	}
	if value.Kind == 0 || r.failedIn(path+".from", before) || len(wired.From) == 0 && (hasRefused(value) || misspeltFrom(unknown)) {
		r.loose[spec.Pos] = true
	}
	r.connect(&spec, wired, path, before)
	return spec
}

func kindKeys(role graph.Role) reflect.Value {
	switch role {
	case graph.RoleSource:
		return reflect.ValueOf(&sourceKind{}).Elem()
	case graph.RoleSink:
		return reflect.ValueOf(&sinkKind{}).Elem()
	default:
		return reflect.ValueOf(&stageKind{}).Elem()
	}
}

// kindKey is the key that a node's kind is printed with.
func kindKey(role graph.Role) string { return fieldNames(kindKeys(role))[0] }

// kindOf finds a node's kind before its settings are decoded, since they depend on it.
func (r *reader) kindOf(key, value *yaml.Node, keys reflect.Value) (kind string, pos graph.Position) {
	for k, v := range pairs(value) {
		if _, ok := fieldOf(k.Value, keys); !ok || v.Kind != yaml.ScalarNode || isNull(v) {
			continue
		}
		if kind != "" {
			r.problem(k, "a second key names the kind", "keep one of: "+strings.Join(fieldNames(keys), ", "))
			continue
		}
		kind, pos = v.Value, r.at(v)
	}
	if kind == "" {
		return key.Value, r.at(key)
	}
	return kind, pos
}

// hasRefused says whether a mapping holds a key that was refused, and may have been any.
func hasRefused(n *yaml.Node) bool {
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if n.Content[i].Kind == 0 {
			return true
		}
	}
	return false
}

// misspeltFrom says whether one of the keys means to be `from`.
func misspeltFrom(keys []*yaml.Node) bool {
	known := []string{"from"}
	return slices.ContainsFunc(keys, func(k *yaml.Node) bool {
		return strings.HasPrefix(k.Value, "from:") || graph.DidYouMean(k.Value, known) == graph.DidYouMean("from", known)
	})
}

// connect carries the wiring keys into the spec, less those that failed since before.
func (r *reader) connect(spec *graph.NodeSpec, wired inputs, path string, before int) {
	for i, name := range wired.From {
		at := r.values[fmt.Sprintf("%s.from[%d]", path, i)]
		spec.From = append(spec.From, graph.FromSpec{Name: name, Pos: r.at(at)})
	}
	if value := r.values[path+".parallel"]; value != nil && !r.failedIn(path+".parallel", before) {
		spec.Workers, spec.WorkersPos = wired.Parallel, r.at(value)
		if wired.Parallel < 1 || wired.Parallel > maxWorkers {
			r.fail(value, path+".parallel", fmt.Sprintf("%d is out of range", wired.Parallel), fmt.Sprintf("from 1 to %d", maxWorkers))
			spec.Workers = 1
		}
	}
	if value := r.values[path+".edge"]; value != nil && !slices.Contains(r.failed[before:], path+".edge") {
		spec.Edge = r.window(value, path+".edge", wired.Edge, before)
	}
}

// failedIn says whether something in a path failed since there were `before` failures.
func (r *reader) failedIn(path string, before int) bool {
	return slices.ContainsFunc(r.failed[before:], func(f string) bool { return within(f, path) })
}

// window returns a configured edge. A size that is none, or that failed since before, is taken for one that everything
// fits: the graph is checked for the other.
func (r *reader) window(n *yaml.Node, path string, e edge, before int) *graph.EdgeSpec {
	w := graph.Window{Items: e.Items, Bytes: int64(e.Bytes)}
	if e.Items < 1 {
		r.complain(n, path, path+".items", "a window needs room for at least 1 item", "such as items: 4096", r.failed[before:])
		w.Items = math.MaxInt
	}
	if e.Bytes < 1 {
		r.complain(n, path, path+".bytes", "a window needs room for at least 1 byte", "such as bytes: 64MiB", r.failed[before:])
		w.Bytes = math.MaxInt64
	}
	return &graph.EdgeSpec{Window: w, Pos: r.at(n)}
}
