// Package stages registers the kinds of stages that a pipeline may name. It is the one place that imports them all.
package stages

import (
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/stages/admit"
	"github.com/engram-stream/engram/stages/coalesce"
	"github.com/engram-stream/engram/stages/decode"
	"github.com/engram-stream/engram/stages/embed"
	"github.com/engram-stream/engram/stages/index"
	"github.com/engram-stream/engram/stages/journal"
	"github.com/engram-stream/engram/stages/notify"
	"github.com/engram-stream/engram/stages/sequence"
	"github.com/engram-stream/engram/stages/shard"
)

// Register adds every kind of stage.
func Register(r *graph.Registry) {
	for _, register := range []func(*graph.Registry){
		decode.Register,
		sequence.Register,
		admit.Register,
		embed.Register,
		coalesce.Register,
		shard.Register,
		journal.Register,
		index.Register,
		notify.Register,
	} {
		register(r)
	}
}
