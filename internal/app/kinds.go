package app

import (
	"path/filepath"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages"
	"github.com/engram-stream/engram/transports"
	"github.com/engram-stream/engram/transports/rpc"
)

// kinds registers every kind that a pipeline may name.
func kinds(hub *transports.Hub) *graph.Registry {
	r := graph.NewRegistry()
	stages.Register(r)
	transports.Register(r)
	rpc.Register(r, hub)
	return r
}

// provided are the services of the application that stages may use.
func provided(p *config.Pipeline, e memory.Embedder, w *workload) []any {
	return []any{settings{p, e}, w}
}

// workload tells the transports, which are built before the graph is, what the graph is at work on. Its engine is set before
// the server starts.
type workload struct{ *graph.Engine }

// settings hands the pipeline's settings to the stages that need them, each through an interface of its own.
type settings struct {
	pipeline *config.Pipeline
	embedder memory.Embedder // nil: nothing embeds
}

// Embedder is what turns text into vectors.
func (s settings) Embedder() memory.Embedder { return s.embedder }

// RecallLimits bounds the pool that answers recalls.
func (s settings) RecallLimits() (workers, queue, maxLimit int) {
	r := s.pipeline.Recall
	return r.Workers, r.Queue, r.MaxLimit
}

// JournalDir is where the journal's files lie, in the folder that the process has locked.
func (s settings) JournalDir() string { return filepath.Join(s.pipeline.Data, "journal") }

// IndexDir is where the index keeps what it need not build again.
func (s settings) IndexDir() string { return filepath.Join(s.pipeline.Data, "index") }

// SpaceLimit bounds the spaces.
func (s settings) SpaceLimit() int { return s.pipeline.Limits.Spaces }
