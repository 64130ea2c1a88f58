package graph

import (
	"reflect"
	"sync/atomic"
)

// Handle is an atomic handle to a service that some stage (or the application) exports. The interface T lives with
// its consumer. The engine fills it when the graph is built; a later reload may swap what stands behind it.
type Handle[T any] struct {
	p atomic.Pointer[T]
}

// NewHandle returns a handle that already points at a service; for tests and for the application.
func NewHandle[T any](service T) *Handle[T] {
	h := &Handle[T]{}
	h.p.Store(&service)
	return h
}

// Get returns the service. It panics when called before the graph is built: a stage calls it from Open on.
func (h *Handle[T]) Get() T { return *h.p.Load() }

// needs collects what the stages of a graph asked for with Use.
type needs struct {
	wanted []need
}

type need struct {
	node  string
	iface reflect.Type
	// bind stores the service if it implements the interface and reports whether it does.
	bind func(service any) bool
}

// Use asks for the one service of the graph that implements the interface T. Exactly one provider is required when
// the graph is built; none or several is a wiring error that names them.
func Use[T any](d Deps) *Handle[T] {
	h := &Handle[T]{}
	if d.needs != nil {
		d.needs.wanted = append(d.needs.wanted, need{
			node:  d.Name,
			iface: reflect.TypeFor[T](),
			bind: func(service any) bool {
				s, ok := service.(T)
				if ok {
					h.p.Store(&s)
				}
				return ok
			},
		})
	}
	return h
}
