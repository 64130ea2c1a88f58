// Package config reads a pipeline file: the settings of the process and the wiring of its stages, as YAML.
//
// It promises: every problem of a file is found in one run, each with file, line, column and a hint; nothing is
// guessed (unknown keys, wrong types, duplicate keys, aliases and second documents are refused); variables are put
// in after the parse, so that a value can never change the shape of the file; no input makes it panic.
//
// The kinds of sources, stages and sinks arrive through a graph.Registry, each with a config type that their own
// settings decode into. Load or Parse a file, Override it from environment and flags, then Check it.
package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
)

// MaxFileBytes is the largest pipeline file that is read, in bytes.
const MaxFileBytes = 1 << 20

// Diagnostics are the findings of one load, for callers that do not know the graph.
type Diagnostics = graph.Diagnostics

// LookupEnv finds an environment variable, as os.LookupEnv does.
type LookupEnv func(name string) (value string, ok bool)

// Pipeline is what a file says after the defaults, and then the environment and flags, have been laid around it.
// It is usable only when Check finds nothing. Not safe for concurrent use.
type Pipeline struct {
	Settings
	Spec graph.Spec // the wiring, to be built by graph

	problems graph.Diagnostics       // what was wrong with the text and the values
	defaults Settings                // those of default.yaml
	origins  map[string]Origin       // where each setting's value came from, by path
	readable bool                    // the file is YAML of the right outline: its wiring is worth checking
	loose    map[graph.Position]bool // nodes, by the place of their name, of whose neighbours too little was read to judge them
}

// Load reads a pipeline file; an empty name means the embedded default. The error says that the file could not be
// read at all; what is wrong inside it is in the diagnostics, which Check repeats together with those of the wiring.
// The pipeline is nil only when there is an error.
func Load(file string, r *graph.Registry) (*Pipeline, graph.Diagnostics, error) {
	name, data := defaultName, defaultYAML
	if file != "" {
		var err error
		if name, data, err = readFile(file); err != nil {
			return nil, nil, err
		}
	}
	p, problems := Parse(name, data, r, os.LookupEnv)
	return p, problems, nil
}

// Parse reads the text of a pipeline file; name stands in the positions. A nil lookup means an empty environment.
// The pipeline is never nil.
func Parse(name string, data []byte, r *graph.Registry, lookup LookupEnv) (*Pipeline, graph.Diagnostics) {
	p := &Pipeline{origins: map[string]Origin{}}
	base := p.readDefaults()
	if root, problem := parseDocument(name, data); problem != nil {
		p.problems = graph.Diagnostics{*problem}
	} else {
		p.readFile(newReader(name, lookup), root, base, r)
	}
	p.respec()
	return p, p.settled(p.problems)
}

// Check returns every problem of the pipeline, sorted by position: those of its text, of its values, and of the
// wiring of whatever could be read. provide are the services that the application will build it with. The pipeline can
// be built when there are none.
func Check(p *Pipeline, r *graph.Registry, provide ...any) graph.Diagnostics {
	problems := slices.Clone(p.problems)
	if p.readable {
		_, wiring := p.Spec.Build(r, graph.Options{Provide: provide})
		for _, d := range wiring {
			if !p.echoes(d) {
				problems = append(problems, p.ours(d))
			}
		}
	}
	return p.settled(problems)
}

// echoes says whether a wiring problem only follows from one of the text: at the same place, or about a node whose
// neighbours could not be read.
func (p *Pipeline) echoes(wiring graph.Diagnostic) bool {
	return p.loose[wiring.Pos] || slices.ContainsFunc(p.problems, func(d graph.Diagnostic) bool { return d.Pos == wiring.Pos })
}

// settled adds what the settings as they now stand violate, and sorts.
func (p *Pipeline) settled(problems graph.Diagnostics) graph.Diagnostics {
	all := append(slices.Clone(problems), p.settingProblems()...)
	all.Sort()
	return all
}

func readFile(file string) (string, []byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", nil, unreadable(file, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return "", nil, unreadable(file, err)
	}
	return file, data, nil
}

func unreadable(file string, err error) error {
	kind, hint := fault.FailedPrecondition, "check that it is a file and that this user may read it"
	if errors.Is(err, fs.ErrNotExist) {
		kind, hint = fault.NotFound, "check the path, or leave it out to run the embedded default pipeline"
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // without the file, which the subject names
	}
	return fault.Wrap(kind, err, "the pipeline file cannot be read").WithOp("load config").WithSubject(file).WithHint("%s", hint)
}
