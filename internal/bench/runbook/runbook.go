// Package runbook reads the runbooks of the streaming track of NeurIPS'23 (github.com/harsha-simhadri/big-ann-benchmarks,
// neurips23/runbooks): what is inserted, deleted and replaced in which order, and when is searched.
//
// A runbook is YAML: the name of a data set, and beneath it numbered steps, max_pts (the most that are alive at a time) and
// gt_url (where a ground truth lies, which is not used). A vector's number in the data set is its id; what is in the index has
// a tag, which is the id that it was inserted with, and stays when it is replaced. Ranges leave out their end.
//
// Mistakes are *fault.Error that name file and line.
package runbook

import (
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/internal/fault"
)

// The limits of a runbook.
const (
	maxBytes = 64 << 20
	maxSteps = 1 << 20
)

// Operation is what a step does.
type Operation string

// The operations.
const (
	Insert  Operation = "insert"
	Delete  Operation = "delete"
	Search  Operation = "search"
	Replace Operation = "replace"
)

// Range is the numbers from Start on up to, not including, End.
type Range struct{ Start, End int }

// Len returns how many they are.
func (r Range) Len() int { return r.End - r.Start }

// Step is one step. Tags are what it inserts, deletes or replaces; of a Replace, IDs are the vectors that come in their place.
type Step struct {
	Number    int
	Line      int
	Operation Operation
	Tags      Range
	IDs       Range
}

// Runbook is what is to be done with one data set.
type Runbook struct {
	File    string
	Dataset string
	// MaxPoints is the most that are alive at a time.
	MaxPoints int
	Steps     []Step
}

// Read reads the runbook of a data set; of a file of one data set its name can be left empty. file stands in errors.
func Read(file string, in io.Reader, dataset string) (*Runbook, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxBytes+1))
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "cannot be read").WithOp(op).WithSubject(file)
	}
	if len(text) > maxBytes {
		return nil, fault.New(fault.InvalidArgument, "more than %d MiB", maxBytes>>20).WithOp(op).WithSubject(file)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "").WithOp(op).WithSubject(file)
	}
	r := &reader{file: file}
	if len(document.Content) == 0 {
		return nil, r.fault(1, "there is nothing in it")
	}
	return r.runbook(document.Content[0], dataset)
}

const op = "read runbook"

type reader struct{ file string }

func (r *reader) fault(line int, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithOp(op).WithSubject(fmt.Sprintf("%s:%d", r.file, line))
}

func (r *reader) runbook(top *yaml.Node, dataset string) (*Runbook, error) {
	if top.Kind != yaml.MappingNode || len(top.Content) == 0 {
		return nil, r.fault(top.Line, "want the name of a data set, and its steps beneath")
	}
	if dataset == "" && len(top.Content) > 2 {
		return nil, r.fault(top.Content[2].Line, "there are runbooks for %d data sets", len(top.Content)/2).
			WithHint("say which one: the first is %q", top.Content[0].Value)
	}
	for i := 0; i < len(top.Content); i += 2 {
		if name := top.Content[i].Value; dataset == "" || name == dataset {
			return r.steps(name, top.Content[i+1])
		}
	}
	return nil, r.fault(top.Line, "there is no runbook for the data set %q", dataset).WithHint("there is one for %q", top.Content[0].Value)
}

func (r *reader) steps(name string, body *yaml.Node) (*Runbook, error) {
	if body.Kind != yaml.MappingNode {
		return nil, r.fault(body.Line, "want numbered steps beneath %q", name)
	}
	book := &Runbook{File: r.file, Dataset: name}
	for i := 0; i < len(body.Content); i += 2 {
		key, value := body.Content[i], body.Content[i+1]
		switch key.Value {
		case "gt_url":
			continue
		case "max_pts":
			n, err := r.count("max_pts", value)
			if err != nil {
				return nil, err
			}
			book.MaxPoints = n
			continue
		}
		if err := r.add(book, key, value); err != nil {
			return nil, err
		}
	}
	if len(book.Steps) == 0 {
		return nil, r.fault(body.Line, "there are no steps")
	}
	return book, nil
}

// add reads a step. Steps are in the order of their numbers, which begin with 1 and leave none out.
func (r *reader) add(book *Runbook, key, value *yaml.Node) error {
	number, err := strconv.Atoi(key.Value)
	switch want := len(book.Steps) + 1; {
	case err != nil:
		return r.fault(key.Line, "%q is neither the number of a step nor max_pts or gt_url", key.Value)
	case number != want:
		return r.fault(key.Line, "step %d stands where step %d is due", number, want)
	case number > maxSteps:
		return r.fault(key.Line, "more than %d steps", maxSteps)
	}
	step, err := r.step(number, key.Line, value)
	if err != nil {
		return err
	}
	book.Steps = append(book.Steps, step)
	return nil
}

// needs are the keys of each operation beside its name.
var needs = map[Operation][]string{
	Insert: {"start", "end"}, Delete: {"start", "end"}, Search: nil,
	Replace: {"tags_start", "tags_end", "ids_start", "ids_end"},
}

func (r *reader) step(number, line int, body *yaml.Node) (Step, error) {
	s := Step{Number: number, Line: line}
	if body.Kind != yaml.MappingNode {
		return s, r.fault(line, "step %d: want its operation, and what belongs to it", number)
	}
	given := map[string]*yaml.Node{}
	for i := 0; i < len(body.Content); i += 2 {
		given[body.Content[i].Value] = body.Content[i+1]
	}
	operation := given["operation"]
	if operation == nil {
		return s, r.fault(line, "step %d has no operation", number).WithHint("give insert, delete, search or replace")
	}
	s.Operation = Operation(operation.Value)
	keys, known := needs[s.Operation]
	if !known {
		return s, r.fault(operation.Line, "step %d: operation %q is unknown", number, operation.Value).
			WithHint("known are insert, delete, search and replace")
	}
	numbers, err := r.numbers(s, keys, given)
	if err != nil || s.Operation == Search {
		return s, err
	}
	s.Tags = Range{numbers[0], numbers[1]}
	s.IDs = s.Tags
	if s.Operation == Replace {
		s.IDs = Range{numbers[2], numbers[3]}
	}
	switch {
	case s.Tags.Len() < 1 || s.IDs.Len() < 1:
		return s, r.fault(line, "step %d: a range ends where it begins, or before", number)
	case s.Tags.Len() != s.IDs.Len():
		return s, r.fault(line, "step %d: %d tags are replaced by %d vectors", number, s.Tags.Len(), s.IDs.Len())
	}
	return s, nil
}

// numbers reads what belongs to an operation, and that only.
func (r *reader) numbers(s Step, keys []string, given map[string]*yaml.Node) ([]int, error) {
	numbers := make([]int, len(keys))
	for i, key := range keys {
		node := given[key]
		if node == nil {
			return nil, r.fault(s.Line, "step %d: %s has no %s", s.Number, s.Operation, key)
		}
		n, err := r.count(key, node)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
		delete(given, key)
	}
	delete(given, "operation")
	for key, node := range given {
		return nil, r.fault(node.Line, "step %d: %s takes no %s", s.Number, s.Operation, key)
	}
	return numbers, nil
}

func (r *reader) count(key string, node *yaml.Node) (int, error) {
	n, err := strconv.Atoi(node.Value)
	if err != nil || n < 0 || node.Kind != yaml.ScalarNode {
		return 0, r.fault(node.Line, "%s %q: want a whole number of 0 or more", key, node.Value)
	}
	return n, nil
}
