package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/graph"
)

// Layer says which layer a setting's value came from; a higher one wins.
type Layer uint8

// The layers.
const (
	Defaults Layer = iota
	File
	Environment
	Flags
)

// Origin is where a setting's value came from. Of the environment and flags, Pos.File holds the variable or flag, and
// there is no line.
type Origin struct {
	Layer Layer
	Pos   graph.Position
}

// Override is one setting from outside the file.
type Override struct {
	Path  string // as the file nests it: "listen", "limits.message_bytes"
	Value string // as the file would write it
	Layer Layer
	Name  string // the variable or flag, for messages: "ENGRAM_LISTEN", "--listen"
}

// envPrefix begins the environment variable of each setting: ENGRAM_LISTEN, ENGRAM_LIMITS_MESSAGE_BYTES.
const envPrefix = "ENGRAM_"

// FromEnvironment returns the settings that the environment sets. An empty variable counts as unset.
func FromEnvironment(lookup LookupEnv) (overrides []Override) {
	for _, path := range settingPaths() {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		if value, ok := lookup(name); ok && value != "" {
			overrides = append(overrides, Override{path, value, Environment, name})
		}
	}
	return overrides
}

// Override lays settings over the pipeline, each only over those of its own layer or lower ones, so that flags win
// over the environment in whichever order they come. A value that does not fit is a problem that Check reports. A
// path that is no setting is a bug of the caller, and panics.
func (p *Pipeline) Override(overrides ...Override) {
	for _, o := range overrides {
		if o.Layer < p.origins[o.Path].Layer {
			continue
		}
		r := newReader(o.Name, nil)
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: o.Value}
		r.expanded[n] = true
		r.value(n, o.Path, settingOf(&p.Settings, o.Path))
		p.problems = append(p.problems, r.problems...)
		p.origins[o.Path] = Origin{o.Layer, r.at(n)}
		if strings.HasPrefix(o.Path, "budget.") {
			p.Spec.BudgetPos = r.at(n)
		}
	}
	p.respec()
}

// Origin returns where the value of a setting came from, by its path in the file. One of a source, stage or sink that no
// layer sets has none: the zero Origin.
func (p *Pipeline) Origin(path string) Origin { return p.origins[path] }

// note remembers which settings a reader found.
func (p *Pipeline) note(r *reader) {
	layer := r.layer()
	if n := r.values["budget"]; n != nil {
		p.Spec.BudgetPos = r.at(n)
	}
	for _, path := range settingPaths() {
		if n := r.values[path]; n != nil && !slices.Contains(r.failed, path) {
			p.origins[path] = Origin{layer, r.at(n)}
		}
	}
}

// noteNodes remembers which settings of the sources, stages and sinks a reader found. A kind may have been named by
// another key than the one it is printed with.
func (p *Pipeline) noteNodes(r *reader) {
	for path, n := range r.values {
		if section, _, inside := strings.Cut(path, "."); inside && slices.Contains(sections, section) {
			p.origins[path] = Origin{r.layer(), r.at(n)}
		}
	}
	for _, n := range p.Spec.Nodes {
		p.origins[join(join(sectionOf(n.Role), n.Name), kindKey(n.Role))] = Origin{r.layer(), n.KindPos}
	}
}

// layer is the one that a reader's text belongs to.
func (r *reader) layer() Layer {
	if r.file == defaultName {
		return Defaults
	}
	return File
}

func settingOf(s *Settings, path string) reflect.Value {
	v := reflect.ValueOf(s).Elem()
	for part := range strings.SplitSeq(path, ".") {
		field, ok := fieldOf(part, v)
		if !ok {
			panic("config: no setting " + path)
		}
		v = field
	}
	return v
}

// settingPaths lists the paths of all settings.
func settingPaths() []string { return leafPaths("", reflect.ValueOf(&Settings{}).Elem()) }

func leafPaths(path string, v reflect.Value) (all []string) {
	if isScalar(v) {
		return []string{path}
	}
	for i := range v.NumField() {
		if name, ok := settingName(v.Type().Field(i)); ok {
			all = append(all, leafPaths(join(path, name), v.Field(i))...)
		}
	}
	return all
}
