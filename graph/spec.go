package graph

import (
	"cmp"
	"fmt"
	"slices"
)

// Position is a place in a pipeline file. The zero value means "not from a file".
type Position struct {
	File   string
	Line   int // from 1
	Column int // from 1
}

// String renders "file:line:column", or what File says when that is no file: a flag, an environment variable.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Diagnostic is one finding about a pipeline.
type Diagnostic struct {
	Pos     Position
	Message string // what is wrong
	Hint    string // what to do; may be empty
}

// Error renders "file:line:column: message; hint: …".
func (d Diagnostic) Error() string {
	s := d.Pos.String() + ": " + d.Message
	if d.Hint != "" {
		s += "; hint: " + d.Hint
	}
	return s
}

// Diagnostics are all findings of one load.
type Diagnostics []Diagnostic

// Sort orders them by position.
func (ds Diagnostics) Sort() {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
}

// Spec is a graph to build: what config makes of a pipeline file, or a test by hand.
type Spec struct {
	Budget    Window
	BudgetPos Position
	Sections  map[Role]Position // where the nodes of each role are written; may be nil
	Nodes     []NodeSpec
}

// NodeSpec is one source, stage or sink.
type NodeSpec struct {
	Name    string
	Role    Role
	Kind    string
	From    []FromSpec // empty for a source
	Edge    *EdgeSpec  // nil: fused if the kind allows, else a window as large as the budget
	Workers int        // unordered workers on the input edge (`parallel`); 0 means 1
	Config  any        // what Kind.NewConfig returned, filled

	Pos        Position // the node's name
	KindPos    Position
	WorkersPos Position
	// Largest batch a source offers; 0: not bounded beyond the budget.
	Offers    Window
	OffersPos Position // to blame, rather than BudgetPos, when the budget cannot hold them; may be zero
}

// FromSpec names an upstream node.
type FromSpec struct {
	Name string
	Pos  Position
}

// EdgeSpec is a configured window on a node's input edge.
type EdgeSpec struct {
	Window Window
	Pos    Position
}
