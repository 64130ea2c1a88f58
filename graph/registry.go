package graph

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
)

// Role is where a node stands in the graph.
type Role uint8

// The roles.
const (
	RoleSource Role = iota + 1
	RoleStage
	RoleSink
)

// String returns "source", "stage" or "sink".
func (r Role) String() string { return [...]string{"node", "source", "stage", "sink"}[r] }

// Traits of a kind, used by the wiring and liveness checks.
type Traits struct {
	Fused      bool // runs on its upstream's goroutine unless an edge is configured; must be safe for concurrent use
	Ordered    bool // relies on the order of its input: no unkeyed parallelism may stand upstream of it
	Partitions bool // its output is split into ordered lanes (see Partitioner), or by keys that have lanes (see Route)
	Charges    bool // takes budget credit for what passes; exactly one such kind stands on each way from a source
	Parallel   bool // may run several unordered workers on one edge (the wiring key `parallel`)
}

// Doc documents a kind for the reference and for error messages.
type Doc struct {
	Summary string // one sentence
	Traits  Traits
}

// Offer is what a source puts into the graph: items, the weight of each in bytes (>= 0), and who learns their
// outcomes. The graph owns both slices from then on.
type Offer[T any] struct {
	Items   []T
	Bytes   []int32 // one an item
	Settler Settler
}

// Inlet is a source's way into the graph. Safe for concurrent use.
type Inlet[T any] interface {
	// Offer runs the items through the fused stages on the caller's goroutine and hands them to the first edge. It
	// always takes the items: each is settled exactly once, now or later, whatever it returns. An error says that
	// they went no further (all were settled): what the fused stages returned, or ErrDraining. ctx carries the
	// trace and ends the wait for an edge's credit; once on an edge, the items keep its values only.
	Offer(ctx context.Context, o Offer[T]) error
}

// Registry holds the kinds that a pipeline may name. Fill it before use; reading is safe for concurrent use.
type Registry struct {
	kinds map[Role]map[string]*Kind
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{kinds: map[Role]map[string]*Kind{RoleSource: {}, RoleStage: {}, RoleSink: {}}}
}

// Kind is one registered kind of source, stage or sink.
type Kind struct {
	Name string
	Role Role
	Doc  Doc
	In   reflect.Type // nil for a source
	Out  reflect.Type // nil for a sink

	newConfig func() any
	build     func(config any, d Deps) (node, error)
}

// NewConfig returns a pointer to a new config value with the kind's defaults; config decodes the YAML into it.
func (k *Kind) NewConfig() any { return k.newConfig() }

// Lookup returns a kind, or nil.
func (r *Registry) Lookup(role Role, name string) *Kind { return r.kinds[role][name] }

// Meant returns the kind that a name which is none seems to mean: the nearest, else that of the node's name, as when
// the kind is left out; near says which of the two. Nil: there is none.
func (r *Registry) Meant(role Role, kind, node string) (k *Kind, near bool) {
	if k := r.Lookup(role, nearest(kind, r.names(role))); k != nil {
		return k, true
	}
	return r.Lookup(role, node), false
}

// Kinds returns the kinds of a role, sorted by name.
func (r *Registry) Kinds(role Role) []*Kind {
	return slices.SortedFunc(maps.Values(r.kinds[role]), func(a, b *Kind) int { return cmp.Compare(a.Name, b.Name) })
}

func (r *Registry) names(role Role) []string { return slices.Sorted(maps.Keys(r.kinds[role])) }

func (r *Registry) add(k *Kind) {
	if r.kinds[k.Role][k.Name] != nil {
		panic("graph: kind " + k.Name + " registered twice")
	}
	r.kinds[k.Role][k.Name] = k
}

// Register adds a kind of stage. defaults is the config before the YAML is read; *C is what the pipeline's settings
// decode into (yaml tags). build must be pure; its error becomes a diagnostic at the stage's position.
func Register[C, In, Out any](r *Registry, name string, doc Doc, defaults C, build func(C, Deps) (Stage[In, Out], error)) {
	r.add(&Kind{
		Name: name, Role: RoleStage, Doc: doc, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
		newConfig: func() any { c := defaults; return &c },
		build: func(config any, d Deps) (node, error) {
			s, err := build(*config.(*C), d)
			if err != nil {
				return nil, err
			}
			return newStageNode(s), nil
		},
	})
}

// RegisterSink adds a kind of sink.
func RegisterSink[C, In any](r *Registry, name string, doc Doc, defaults C, build func(C, Deps) (Sink[In], error)) {
	r.add(&Kind{
		Name: name, Role: RoleSink, Doc: doc, In: reflect.TypeFor[In](),
		newConfig: func() any { c := defaults; return &c },
		build: func(config any, d Deps) (node, error) {
			s, err := build(*config.(*C), d)
			if err != nil {
				return nil, err
			}
			return newSinkNode(s), nil
		},
	})
}

// RegisterSource adds a kind of source. What build returns is handed to the application as the endpoint of that name
// (see Engine.Endpoints); it gets its inlet when built and may offer after Start.
func RegisterSource[C, Out any](r *Registry, name string, doc Doc, defaults C, build func(C, Deps, Inlet[Out]) (any, error)) {
	r.add(&Kind{
		Name: name, Role: RoleSource, Doc: doc, Out: reflect.TypeFor[Out](),
		newConfig: func() any { c := defaults; return &c },
		build: func(config any, d Deps) (node, error) {
			n := &sourceNode[Out]{}
			endpoint, err := build(*config.(*C), d, n)
			if err != nil {
				return nil, err
			}
			n.endpoint = endpoint
			return n, nil
		},
	})
}
