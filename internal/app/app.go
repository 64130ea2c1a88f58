package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/simd"
	"github.com/engram-stream/engram/internal/telemetry/export"
	"github.com/engram-stream/engram/transports"
)

// Config is what a server is made from.
type Config struct {
	File      string            // the pipeline; empty: the embedded default
	Overrides []config.Override // laid over the file and the environment
	LookupEnv config.LookupEnv  // nil: os.LookupEnv
	Insecure  bool              // allow an address beyond loopback
	Logger    *slog.Logger      // nil: silent
	Version   string            // of the build, for telemetry; empty: not told

	// For those who embed a server. Stop closes the listener.
	Listener net.Listener                           // served in place of the pipeline's address; nil: that is opened
	Kinds    func(*graph.Registry, *transports.Hub) // registers kinds besides the built-in ones; nil: there are none

	// Where spans and metrics go instead of where the pipeline's telemetry section says. Nil: as that says, and where it
	// says off, the global provider of OpenTelemetry as it is when New is called. How long stages took is only on the page
	// of the pipeline: the graph counts that, and no instrument is told.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Server is one engram process's worth of server. Its methods are safe for concurrent use.
type Server struct {
	// Set by New, never changed.
	pipeline *config.Pipeline
	insecure bool
	given    net.Listener // nil: Start opens one
	log      *slog.Logger
	hub      *transports.Hub
	engine   *graph.Engine
	reports  reports
	release  func() // lets go of the embedder
	state    *readiness

	mu      sync.Mutex
	running *running // guarded by mu; nil before Start and after Stop
}

// running is what Start acquires and Stop releases.
type running struct {
	lock          *folderLock
	listener      net.Listener
	http          *http.Server
	release       context.CancelFunc // cancels the contexts of the requests that are left
	serving       conc.WaitGroup
	failed        chan error // cap 1: why serving, or the pipeline, ended by itself
	exports       *export.Exports
	unwatch       func() error // ends the reports of what is read from the server
	unwatchStages func()       // and of what its graph has counted
}

// InvalidPipeline says what is wrong with a pipeline file.
type InvalidPipeline struct {
	Found graph.Diagnostics
}

// Error lists every finding on a line of its own.
func (e *InvalidPipeline) Error() string {
	lines := make([]string, len(e.Found))
	for i, d := range e.Found {
		lines[i] = d.Error()
	}
	return strings.Join(lines, "\n")
}

// New loads, checks and builds. A pipeline that would not start is an *InvalidPipeline.
func New(c Config) (*Server, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := simd.CheckEnvironment(); err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "no such kernels here").WithOp("start").WithHint("leave the variable away: the best are taken")
	}
	hub := transports.NewHub()
	if c.LookupEnv == nil {
		c.LookupEnv = os.LookupEnv
	}
	registry := kinds(hub)
	if c.Kinds != nil {
		c.Kinds(registry, hub)
	}
	pipeline, err := load(c, registry)
	if err != nil {
		return nil, err
	}
	reports, err := newReports(c, pipeline.Telemetry, hub.Instance())
	if err != nil {
		return nil, err
	}
	embedder, release, err := embedders(pipeline, c.LookupEnv)
	if err != nil {
		return nil, err
	}
	work := &workload{}
	engine, found := pipeline.Spec.Build(registry, graph.Options{
		Logger: c.Logger, Hooks: reports.Hooks(nodes(pipeline)), Provide: provided(pipeline, embedder, work),
	})
	if len(found) > 0 {
		return nil, &InvalidPipeline{Found: found}
	}
	work.Engine = engine
	return &Server{
		pipeline: pipeline, insecure: c.Insecure, given: c.Listener, log: c.Logger, hub: hub, engine: engine, reports: reports,
		release: release,
		state:   newReadiness(),
	}, nil
}

// nodes names the nodes of a pipeline's graph.
func nodes(p *config.Pipeline) []string {
	names := make([]string, len(p.Spec.Nodes))
	for i, n := range p.Spec.Nodes {
		names[i] = n.Name
	}
	return names
}

func load(c Config, registry *graph.Registry) (*config.Pipeline, error) {
	pipeline, _, err := config.Load(c.File, registry)
	if err != nil {
		return nil, err
	}
	pipeline.Override(config.FromEnvironment(c.LookupEnv)...)
	pipeline.Override(c.Overrides...)
	found := append(config.Check(pipeline, registry, provided(pipeline, nil, &workload{})...), sharedPaths(&pipeline.Spec)...)
	found = append(found, takenPage(pipeline)...)
	if len(found) > 0 {
		found.Sort()
		return nil, &InvalidPipeline{Found: found}
	}
	return pipeline, nil
}

// Validate checks a pipeline file as New does and returns all that is wrong with it; the error says that it could not
// be read at all.
func Validate(file string) (graph.Diagnostics, error) {
	_, err := New(Config{File: file})
	if found := Mistakes(err); len(found) > 0 {
		return found, nil
	}
	return nil, err
}

// Mistakes returns what New found wrong with a pipeline; nothing for another error, and for none.
func Mistakes(err error) graph.Diagnostics {
	if invalid, ok := errors.AsType[*InvalidPipeline](err); ok {
		return invalid.Found
	}
	return nil
}

// Start returns once the server is ready. ctx bounds the start only. When it fails nothing is left behind.
func (s *Server) Start(ctx context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return fault.New(fault.FailedPrecondition, "the server was started before")
	}
	began := time.Now()
	r := &running{failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			r.close(context.WithoutCancel(ctx), s.log)
		}
	}()
	if r.lock, err = lockFolder(s.pipeline.Data); err != nil {
		return err
	}
	if r.listener, err = s.listen(); err != nil {
		return err
	}
	r.exports = s.reports.exports
	r.exports.Start()
	if r.unwatch, err = s.reports.Watch(s.reading); err != nil {
		return telemetryFault(err)
	}
	r.unwatchStages = s.reports.stages.Watch(time.Now(), s.engine.Stats)
	s.serve(r)
	if err = s.engine.Start(ctx); err != nil {
		return err
	}
	s.running = r
	s.state.set(ready)
	s.log.Info("ready", "address", r.listener.Addr().String(), "data", s.pipeline.Data, "kernels", simd.Path(), "after", time.Since(began).Round(time.Millisecond))
	return nil
}

// Address returns the address that is served, host:port; empty unless running.
func (s *Server) Address() string {
	if r := s.current(); r != nil {
		return r.listener.Addr().String()
	}
	return ""
}

// DataDir returns the data folder as the pipeline names it.
func (s *Server) DataDir() string { return s.pipeline.Data }

// Endpoints returns what the graph has built for its sources, by their names in the pipeline. They serve while the
// server runs.
func (s *Server) Endpoints() map[string]any { return s.engine.Endpoints() }

// Pipeline returns what is in force. It must not be changed.
func (s *Server) Pipeline() *config.Pipeline { return s.pipeline }

// Layout returns how the graph is built.
func (s *Server) Layout() graph.Layout { return s.engine.Layout() }

// Wait returns nil when ctx ends, or why serving ended by itself, as when the pipeline failed: what remains is Stop.
func (s *Server) Wait(ctx context.Context) error {
	r := s.current()
	if r == nil {
		return fault.New(fault.FailedPrecondition, "the server is not running")
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.failed:
		return err
	}
}

func (s *Server) current() *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}
