package config

import (
	_ "embed"
	"slices"

	"go.yaml.in/yaml/v3"
)

//go:embed default.yaml
var defaultYAML []byte

const defaultName = "default.yaml (embedded)"

// Default returns the text of the embedded pipeline, with its comments for operators.
func Default() []byte { return slices.Clone(defaultYAML) }

// outline is what a file holds beside the settings: its wiring, still as YAML.
type outline struct {
	Sources yaml.Node `yaml:"sources"`
	Stages  yaml.Node `yaml:"stages"`
	Sinks   yaml.Node `yaml:"sinks"`
}

// defaultPart is the default's wiring with the reader that knows its places.
type defaultPart struct {
	reader *reader
	wiring outline
}

// readDefaults fills p with the settings of default.yaml, the one place where defaults are written down.
func (p *Pipeline) readDefaults() defaultPart {
	root, problem := parseDocument(defaultName, defaultYAML)
	if problem != nil {
		panic("config: default.yaml: " + problem.Error())
	}
	base := defaultPart{reader: newReader(defaultName, nil)}
	base.reader.top(root, &p.Settings, &base.wiring)
	if len(base.reader.problems) > 0 {
		panic("config: default.yaml: " + base.reader.problems[0].Error())
	}
	p.defaults = p.Settings
	p.note(base.reader)
	return base
}
