package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/engram-stream/engram/graph"
)

// Scope is the instrumentation scope of all spans and instruments.
const Scope = "github.com/engram-stream/engram"

// The instruments.
const (
	StageDuration   = "engram.stage.duration"    // histogram, s: a stage's own time a call, its sends left out
	StageItems      = "engram.stage.items"       // counter: items offered or handed to a stage, by how the call ended
	EdgeItems       = "engram.edge.items"        // gauge: items queued in front of a stage
	EdgeBytes       = "engram.edge.bytes"        // gauge, By: their weight
	EdgeWindowItems = "engram.edge.window.items" // gauge: the most items that may queue there
	EdgeWindowBytes = "engram.edge.window.bytes" // gauge, By: the most weight
)

// The attributes of spans and measurements.
const (
	AttrStage   = attribute.Key("engram.stage")   // the node's name in the pipeline
	AttrLane    = attribute.Key("engram.lane")    // from 0; spans only
	AttrItems   = attribute.Key("engram.items")   // in the batch, or held when flushed; spans only
	AttrOutcome = attribute.Key("engram.outcome") // success, failure or refused: see graph.CallStatus
	AttrReason  = attribute.Key("engram.reason")  // why a call was refused; spans only
	AttrFlush   = attribute.Key("engram.flush")   // starved, timer or drain: a flush of what was held; spans only
)

// The spans' names are one of these and the node's.
const (
	offerSpan = "offer "
	stageSpan = "stage "
)

// flushes are the values of AttrFlush.
var flushes = [...]string{graph.FlushStarved: "starved", graph.FlushTimer: "timer", graph.FlushDrain: "drain"}

// durationBounds are the buckets of StageDuration, in seconds: from a fused stage's glance to an fsync that hangs.
var durationBounds = []float64{
	10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 2.5, 10,
}
