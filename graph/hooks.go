package graph

import (
	"context"
	"time"
)

// Hooks is how spans and metrics attach to a graph from outside its stages. Set in Options; without one nothing is
// spent on it. All methods are called on the hot path, concurrently, and must not block.
type Hooks interface {
	// Begin is called before a stage's code runs; the context it returns is what the stage gets. Of an offer it is
	// what Call.Traces holds for its items from then on.
	Begin(ctx context.Context, c Call) context.Context
	// End is called with that context when the code has returned and what it left behind has been settled.
	End(ctx context.Context, c Call, r CallResult)
	// Enqueue is called when a batch enters the queue of the edge into a node.
	Enqueue(node string, lane int, w Window)
	// Dequeue is called when the node takes the batch, after it has waited in the queue.
	Dequeue(node string, lane int, w Window, waited time.Duration)
}

// Call describes one run of a stage's code: Process or Deliver, or Flush when Flush is set; or with Offer, an offer
// to a source, which ends when its goroutine has taken it as far as it goes.
type Call struct {
	Node  string
	Offer bool
	Lane  int
	Items int         // offered items handed to Process; for Flush, those held
	Flush FlushReason // 0: not a flush
	// Traces are the contexts of the distinct offers that the items came with, in order, at most MaxTraces; of an
	// offer, the one it was made with. Read values only, their cancellation means nothing here.
	Traces []context.Context
}

// MaxTraces bounds Call.Traces: more links than this help nobody and cost every exporter.
const MaxTraces = 128

// CallResult is how a call ended.
type CallResult struct {
	Status  CallStatus
	Err     error
	Elapsed time.Duration // wall time, sends included
	Busy    time.Duration // the stage's own time: without its sends
}

// CallStatus puts the blame: on nobody, on the stage, or on what stands after it.
type CallStatus uint8

// The statuses.
const (
	Success CallStatus = iota
	Failure            // the stage's own code returned an error, panicked or lost items
	Refused            // downstream returned the error, or the stage refused on purpose (see Refuser)
)

// Statuses is how many there are.
const Statuses = int(Refused) + 1

// String returns "success", "failure" or "refused".
func (s CallStatus) String() string { return [...]string{"success", "failure", "refused"}[s] }

// Refuser is implemented by errors with which a stage refuses on purpose, so that they count as refused rather than
// as the stage's failure.
type Refuser interface {
	error
	Refused() bool
}

// traces lists the contexts of the distinct offers that items came with.
func traces(items []row) []context.Context {
	if len(items) == 1 { // most batches, and the rest costs more than a stage that does little
		return []context.Context{items[0].ledger.ctx}
	}
	var out []context.Context
	seen := make(map[*ledger]struct{}, 8)
	for _, r := range items {
		if len(out) == MaxTraces {
			continue
		}
		if _, ok := seen[r.ledger]; !ok {
			seen[r.ledger] = struct{}{}
			out = append(out, r.ledger.ctx)
		}
	}
	return out
}
