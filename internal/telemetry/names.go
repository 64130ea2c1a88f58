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
	EdgeKeys        = "engram.edge.keys"         // gauge: spaces of which something is queued there or run
	EdgeKeyItems    = "engram.edge.key.items"    // gauge: items queued of the space with the most

	WorkerBusy      = "engram.worker.busy"       // counter, s: with a batch in hand
	WorkerItems     = "engram.worker.items"      // gauge: items queued for a worker
	WorkerTakenOver = "engram.worker.taken_over" // counter: spaces that it took over from another worker

	BudgetItems      = "engram.budget.items"       // gauge: items in memory
	BudgetBytes      = "engram.budget.bytes"       // gauge, By: their weight
	BudgetLimitItems = "engram.budget.limit.items" // gauge: the most items that may be in memory
	BudgetLimitBytes = "engram.budget.limit.bytes" // gauge, By: the most weight

	Verdicts  = "engram.verdicts"  // counter: items received since the start, by verdict
	InFlight  = "engram.in_flight" // gauge: items received that have no verdict yet
	Committed = "engram.committed" // counter: ops in the journal, over all starts

	Sessions    = "engram.sessions"     // gauge: sessions, by state
	Streams     = "engram.streams"      // gauge: open streams
	Calls       = "engram.calls"        // gauge: unary calls at work
	AnswerBytes = "engram.answer.bytes" // gauge, By: held by answers that are not taken yet

	IndexSpaces      = "engram.index.spaces"       // gauge: spaces, by how they are searched
	IndexVectors     = "engram.index.vectors"      // gauge: vectors that recalls look through, by how
	IndexBytes       = "engram.index.bytes"        // gauge, By: of the index, by part
	IndexBehind      = "engram.index.behind"       // gauge: vectors scanned until a graph has them
	IndexSpaceBehind = "engram.index.space.behind" // gauge: those of the space with the most
	IndexMerges      = "engram.index.merges"       // counter: batches put into graphs, by how that ended
	IndexMerged      = "engram.index.merged"       // counter: vectors put into graphs
	IndexRemoved     = "engram.index.removed"      // counter: vectors taken out of graphs
	IndexMerging     = "engram.index.merging"      // counter, s: spent on graphs
	IndexRebuilt     = "engram.index.rebuilt"      // counter: spaces made again from the journal
	IndexWaits       = "engram.index.waits"        // counter: waits of writers for a graph
	IndexWaited      = "engram.index.waited"       // counter, s: what they waited

	SpansLost = "engram.spans.lost" // counter: spans that were kept and did not reach the collector, by the cause

	RecallDuration = "engram.recall.duration" // histogram, s: a recall, without sending its answer
)

// The attributes of spans and measurements.
const (
	AttrStage   = attribute.Key("engram.stage")   // the node's name in the pipeline
	AttrLane    = attribute.Key("engram.lane")    // from 0; spans only
	AttrWorker  = attribute.Key("engram.worker")  // of a stage, from 0; metrics only
	AttrItems   = attribute.Key("engram.items")   // in the batch, or held when flushed; spans only
	AttrOutcome = attribute.Key("engram.outcome") // success, failure or refused: see graph.CallStatus
	AttrReason  = attribute.Key("engram.reason")  // why a call was refused; spans only
	AttrVerdict = attribute.Key("engram.verdict") // accepted, duplicate, nacked, rejected, superseded or aborted
	AttrState   = attribute.Key("engram.state")   // of a session: attached or detached; of a space or vector: graphed, scanned, unloaded or degraded
	AttrPart    = attribute.Key("engram.part")    // of the index: codes, graphs, records, ids or unloaded
	AttrCause   = attribute.Key("engram.cause")   // of a lost span: no_room or not_sent
	AttrFlush   = attribute.Key("engram.flush")   // starved, timer or drain: a flush of what was held; spans only
)

// The spans' names: those of offers and stages are one of these and the node's.
const (
	offerSpan  = "offer "
	stageSpan  = "stage "
	recallSpan = "recall"
)

// flushes are the values of AttrFlush.
var flushes = [...]string{graph.FlushStarved: "starved", graph.FlushTimer: "timer", graph.FlushDrain: "drain"}
