package graph

import (
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

// plan is a spec while it is checked and built: the nodes with what was found out about them.
type plan struct {
	spec     *Spec
	registry *Registry
	options  Options
	budget   *Budget
	largest  Window // no batch is taken to be larger: the budget
	log      *slog.Logger

	nodes   []*planNode // in the order of the spec
	byName  map[string]*planNode
	order   []*planNode        // topological, but for the edges that reports of cycles are about
	tangled map[*planNode]bool // the nodes on a cycle or behind one
	needs   needs
	found   Diagnostics
	forks   []fork
	cyclic  map[edgeOf]bool // the edges of the cycles reported; true: the one that the report is about
	// meanings holds which node a misspelt name seems to mean.
	meanings map[reading]string
	// suggested holds the kinds of stage that a hint has said to add.
	suggested map[string]bool
	// extra holds the nodes that do again what another does; a report has said so.
	extra map[*planNode]bool
	// early holds the nodes before which items would wait uncharged; a report has said so.
	early map[*planNode]bool
	// misread holds the nodes that read what they cannot: what only follows from that is not reported.
	misread map[*planNode]bool
	// doubles holds the nodes with the name of another; they are not built.
	doubles []*planNode
	// partial says that some node could not be made, so that what seems to be missing may be that node's.
	partial bool
}

type planNode struct {
	*NodeSpec
	kind    *Kind // nil: unknown
	guessed bool  // the kind is a guess
	built   node  // nil: not built

	up     []*planNode // resolved, one an entry of From that names a node, or seems to
	upPos  []Position  // of those entries
	down   []*planNode // one, or the wiring is refused
	lanes  int         // of its input
	batch  batchBound  // the largest it may send
	judged bool        // lanes and batch are known
}

// Build checks the spec and makes an engine of it. It is pure: building opens nothing and starts nothing. All
// findings come at once, sorted by position; with any, there is no engine.
func (s *Spec) Build(r *Registry, opts Options) (*Engine, Diagnostics) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	p := newPlan(s, r, opts)
	if p.oversize() {
		return nil, p.found
	}
	p.wire()
	p.checkLiveness()
	services := p.bindServices()
	if len(p.found) > 0 {
		p.found.Sort()
		return nil, p.found
	}
	return p.assemble(services), nil
}

func newPlan(s *Spec, r *Registry, opts Options) *plan {
	return &plan{
		spec: s, registry: r, options: opts, log: opts.Logger,
		budget: NewBudget(s.Budget), largest: s.Budget, byName: make(map[string]*planNode, len(s.Nodes)), misread: make(map[*planNode]bool),
		cyclic: make(map[edgeOf]bool), suggested: make(map[string]bool), extra: make(map[*planNode]bool),
		early: make(map[*planNode]bool), tangled: make(map[*planNode]bool), meanings: make(map[reading]string),
	}
}

// wire connects and builds the nodes, and checks all but their sizes.
func (p *plan) wire() {
	p.resolveNames()
	p.resolveKinds()
	p.resolveFrom()
	p.sort()
	p.checkTypes()
	p.checkForks()
	p.checkEnds()
	p.buildNodes()
	p.checkCharges()
	p.checkWorkers()
}

// report adds a finding. With no position it is about a spec made by hand.
func (p *plan) report(pos Position, hint, format string, args ...any) {
	p.found = append(p.found, Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// buildNodes runs the build function of every known kind, so that bad settings are all found at once.
func (p *plan) buildNodes() {
	for _, n := range p.nodes {
		if n.kind == nil {
			continue
		}
		built, err := n.kind.build(n.config(), Deps{
			Name: n.Name, Budget: p.budget, Logger: p.log.With("stage", n.Name), needs: &p.needs,
		})
		if err != nil {
			p.partial = true
			p.reportBuild(n, err)
			continue
		}
		n.built = built
	}
}

// config is what the node's kind is built with. What was filled for an unknown kind may be of another type than the kind
// that it is taken for.
func (n *planNode) config() any {
	defaults := n.kind.NewConfig()
	if n.Config == nil || n.guessed && reflect.TypeOf(n.Config) != reflect.TypeOf(defaults) {
		return defaults
	}
	return n.Config
}

func (p *plan) reportBuild(n *planNode, err error) {
	hint := ""
	if f, ok := err.(*fault.Error); ok { //nolint:errorlint // a wrapped one has more to say than its own fields
		plain := *f
		hint, plain.Hint = f.Hint, ""
		err = &plain
	}
	p.report(n.Pos, hint, "%s %q: %v", n.Role, n.Name, err)
}

// fused says whether a node runs on its upstream's goroutine.
func (n *planNode) fused() bool {
	return n.Role != RoleSource && n.Edge == nil && n.Workers <= 1 && n.fusable()
}

// fusable says whether a node runs on its upstream's goroutine when the pipeline does not keep it from it.
func (n *planNode) fusable() bool {
	holds := n.built != nil && n.built.holds()
	return !holds && (n.kind.Doc.Traits.Fused || n.Role == RoleSink)
}

// outLanes is the number of lanes of its output.
func (n *planNode) outLanes() int {
	if n.partitions() {
		return n.built.subject().(Partitioner).Lanes()
	}
	return n.lanes
}

func (n *planNode) partitions() bool { return n.kind.Doc.Traits.Partitions }

// assemble makes the engine of a plan without findings.
func (p *plan) assemble(services []service) *Engine {
	e := &Engine{
		endpoints: make(map[string]any), services: services, budget: p.budget,
		hooks: p.options.Hooks, log: p.log, epoch: time.Now(), failed: make(chan error, 1),
	}
	hosts := make(map[*planNode]*host, len(p.order))
	for _, n := range p.order {
		h := n.host(e, place(len(e.hosts)+1))
		for _, up := range n.up {
			h.up = append(h.up, hosts[up])
			hosts[up].down = h
		}
		hosts[n] = h
		e.hosts = append(e.hosts, h)
		n.built.place(h, p.window(n))
		if n.Role == RoleSource {
			e.endpoints[n.Name] = n.built.subject()
		}
	}
	for _, h := range e.hosts {
		if h.down != nil {
			h.node.join(h.down.node)
		}
		if down := h.keysGoTo(); down != nil {
			h.edge.leadTo(down.edge)
		}
	}
	return e
}

// keysGoTo finds the node with the next edge on which the keys wait that wait on this node's; nil when there is none, or
// no second worker that could have something else to do.
func (h *host) keysGoTo() *host {
	if h.edge == nil || !h.keyed() || h.lanes == 1 {
		return nil
	}
	for at := h; at.down != nil && !at.partitions; at = at.down {
		if at.down.edge != nil {
			if at.down.keyed() {
				return at.down
			}
			return nil
		}
	}
	return nil
}

func (n *planNode) host(e *Engine, id place) *host {
	h := &host{
		id: id, name: n.Name, kind: n.Kind, role: n.Role, engine: e, node: n.built,
		lanes: n.lanes, outLanes: n.outLanes(), partitions: n.partitions(),
		log: e.log.With("stage", n.Name),
	}
	switch {
	case n.Role == RoleSource:
		h.id = outside
	case !n.fused():
		h.workers = max(1, n.Workers)
		for lane := range h.lanes {
			for range h.workers {
				h.seats = append(h.seats, newSeat(lane))
			}
		}
	}
	return h
}

// window is the window of a node's edge: as configured, else as large as the budget, so that it never binds.
func (p *plan) window(n *planNode) Window {
	if n.Edge != nil {
		return n.Edge.Window
	}
	return p.spec.Budget
}
