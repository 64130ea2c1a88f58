package rpc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/transports"
)

// The protocols that a source may serve, as the pipeline writes them.
const (
	Connect = "connect"
	GRPC    = "grpc"
	GRPCWeb = "grpc-web"
)

var protocols = []string{Connect, GRPC, GRPCWeb}

// Kind is the name that a pipeline calls this source by.
const Kind = "rpc"

// Config is what a pipeline says of an rpc source.
type Config struct {
	// Which protocols a source answers, all on one port.
	// Range: `connect`, `grpc`, `grpc-web`
	Protocols []string `yaml:"protocols"`
}

// Check reports what is wrong with the settings.
func (c Config) Check(report func(field, message, hint string)) {
	if len(c.Protocols) == 0 {
		report("protocols", "no protocol is named, so no client could speak to this source", "write some of "+strings.Join(protocols, ", "))
	}
	named := make(map[string]bool, len(protocols))
	for _, name := range c.Protocols {
		if !slices.Contains(protocols, name) {
			report("protocols", fmt.Sprintf("%q is no protocol", name), "write some of "+strings.Join(protocols, ", "))
		}
		if named[name] {
			report("protocols", fmt.Sprintf("%q is named twice", name), "")
		}
		named[name] = true
	}
}

// Source is the endpoint of an rpc source.
type Source struct {
	config   Config
	services transports.Services
	hub      *transports.Hub
}

// Register adds the source kind `rpc`. The hub is shared by all transports of the process.
func Register(r *graph.Registry, hub *transports.Hub) {
	graph.RegisterSource(r, Kind, graph.Doc{
		Summary: "Connect, gRPC and gRPC-Web on the server's port, over HTTP/1.1 and HTTP/2.",
	}, Config{Protocols: protocols}, func(c Config, d graph.Deps, inlet graph.Inlet[session.Incoming]) (any, error) {
		return &Source{config: c, services: transports.NewServices(d, inlet), hub: hub}, nil
	})
}
