// Package graph is engram's stage graph: typed stages joined by bounded edges with credit windows.
//
// A Stage is plain code: it gets a batch, sends batches on, rejects items. Goroutines, queues, credits, spans,
// metrics and acks are the engine's. The package knows nothing of vectors, YAML or transports.
//
// It promises: every offered item is settled exactly once; items of one lane and key keep their order; no queue passes its
// window; after a drain every window is full again. Register kinds in a Registry, describe the wiring in a Spec,
// Build it (pure, all diagnostics at once), then Start, offer through inlets, Drain.
package graph

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Stage processes batches of In into batches of Out.
//
// Process owns in, which is never empty and has live items only. Each must be sent on, rejected, or held (see
// Flusher); what is left live when Process returns is rejected by the engine with the returned error or, without one,
// as lost by this stage (ErrLost). A panic counts as an error. Process is called by one goroutine at a time a lane (see
// LaneOf), and behind a stage that sends by keys a key (see Route), but for a Flusher, whose lanes have all keys to
// themselves; unless the pipeline gives a Parallel kind several workers; a kind with the trait Fused is called by as many
// goroutines as its sources have, and keeps its state in the items. ctx ends when the graph is stopped hard.
type Stage[In, Out any] interface {
	Process(ctx context.Context, in *Batch[In], out Port[Out]) error
}

// Sink is a graph's end. Items still live when Deliver returns nil are settled as delivered. It runs on its upstream's
// goroutine, one call at a time a lane there, unless an edge is configured; straight after fused stages it is called by
// as many goroutines as the sources have.
type Sink[In any] interface {
	Deliver(ctx context.Context, in *Batch[In]) error
}

// Port is where a stage sends its output. Owned by the goroutine that runs Process or Flush, until it returns.
type Port[T any] interface {
	// Send hands b on, waiting for the edge's credit. It always takes b, which is empty afterwards: when it returns
	// an error, every item of b that was live has been settled, those that got no further with that error. A fused downstream's error is returned as it is. A batch
	// that the edge's window can never hold is refused at once.
	Send(ctx context.Context, b *Batch[T]) error
	// TrySend is Send without waiting for the edge it leads to; with ErrNoCredit b stays with the caller.
	TrySend(ctx context.Context, b *Batch[T]) error
	// SendTo is Send by a route: of a kind with the trait Partitions only. Without a Key it is Lane(r.Lane).Send.
	SendTo(ctx context.Context, r Route, b *Batch[T]) error
	// Lanes returns how many ordered lanes the output has (1 unless the kind has the trait Partitions).
	Lanes() int
	// Lane returns the port of lane i, 0 <= i < Lanes().
	Lane(i int) Port[T]
}

// ErrNoCredit says that an edge's window has no room for the batch now.
var ErrNoCredit = errors.New("edge window has no room")

// ErrDraining says that the engine takes no more items.
var ErrDraining = errors.New("draining")

// Optional abilities of a stage, sink or source, found by type assertion when the graph is built.
type (
	// Opener acquires what the stage needs. Called once before any batch, stages in topological order.
	Opener interface {
		Open(ctx context.Context) error
	}
	// Closer releases it. Called once after the last batch, in reverse order of opening.
	Closer interface {
		Close() error
	}
	// Flusher lets a stage hold items back between calls; it gets an edge, even if its kind is Fused. The engine
	// calls Flush when the input has become empty, when the time that the last Flush asked for has come, and at
	// the drain, never concurrently with Process on the same lane. It returns how long it may hold what is left
	// (0: nothing is held, and what is was lost); at FlushDrain it must hold nothing. After an error of Process,
	// what is live in its batch has been rejected; what was held before stays held.
	Flusher[Out any] interface {
		Flush(ctx context.Context, why FlushReason, out Port[Out]) (wait time.Duration, err error)
	}
	// Bounder declares the most a stage holds back and the largest batch it emits; checked against windows and
	// budget. A source's endpoint may declare the largest batch it offers.
	Bounder interface {
		Bounds() Bounds
	}
	// Partitioner gives the number of lanes of a kind with the trait Partitions.
	Partitioner interface {
		Lanes() int
	}
	// Exporter offers services to other stages and to the application, matched by interface type (see Use).
	Exporter interface {
		Exports() []any
	}
)

// FlushReason says why Flush is called.
type FlushReason uint8

// The reasons.
const (
	FlushStarved FlushReason = iota + 1 // the input is empty
	FlushTimer                          // the time asked for has come
	FlushDrain                          // no more input will come
)

// Bounds of a stage, in offered items and their bytes. 0 in a Batch field means "as large as its input", and for a
// holder "as large as its input and what it holds".
type Bounds struct {
	HoldItems  int // of each lane, like HoldBytes
	HoldBytes  int64
	BatchItems int
	BatchBytes int64
}

// Deps is what a stage is built with. Building is pure: no I/O, no goroutine.
type Deps struct {
	Name   string // the node's name in the pipeline
	Budget *Budget
	Logger *slog.Logger
	needs  *needs
}
