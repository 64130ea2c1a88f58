package inproc

import (
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/internal/telemetry"
	"github.com/engram-stream/engram/transports"
)

// Kind is the name that a pipeline calls this source by.
const Kind = "inproc"

// Source is the endpoint of an inproc source.
type Source struct {
	services transports.Services
	hub      *transports.Hub
}

// Register adds the source kind `inproc`. The hub is shared by all transports of the process.
func Register(r *graph.Registry, hub *transports.Hub) {
	graph.RegisterSource(r, Kind, graph.Doc{
		Summary: "Streams and calls from inside the server's own process.",
	}, struct{}{}, func(_ struct{}, d graph.Deps, inlet graph.Inlet[session.Incoming]) (any, error) {
		return &Source{services: transports.NewServices(d, inlet), hub: hub}, nil
	})
}

// Options are what the application gives a source.
type Options struct {
	Limits  transports.Limits
	Ready   func() error       // asked before each call and stream; its error is the answer. Nil: always
	Recalls *telemetry.Recalls // nil: they are not measured
}

// Connect returns a client. What it asks before the graph has started must be refused by Ready.
func (s *Source) Connect(o Options) *Client {
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	return &Client{
		server: transports.NewServer(s.hub, s.services, o.Limits, o.Recalls),
		limit:  o.Limits.MessageBytes, ready: o.Ready,
	}
}
