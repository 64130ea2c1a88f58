package graphtest

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
)

// Subject is a fresh, unopened stage with what a test needs to drive it.
type Subject[In, Out any] struct {
	Stage graph.Stage[In, Out]
	// Batch draws the items of the next batch, one or more. It may keep state, such as a sequence number, in the
	// closure that made the subject.
	Batch func(t *rapid.T) []In
	// Weight is an item's weight in bytes; nil: 1.
	Weight func(In) int32
	// Sent, if set, sees each batch that the stage sends, on the goroutine that sends it, before it is settled as
	// delivered.
	Sent func(lane int, b *graph.Batch[Out])
}

func (s *Subject[In, Out]) weigh(item In) int32 {
	if s.Weight == nil {
		return 1
	}
	return s.Weight(item)
}

// Sizes of the kit's runs.
const (
	maxBatches = 12      // in one random history
	offerers   = 4       // goroutines that offer at once to a stage that allows it
	kitItems   = 1 << 20 // the kit's budget
	kitBytes   = 1 << 40
)

// ErrPort is what the kit's port fails with.
var ErrPort = errors.New("the kit's port fails")

// VerifyStage runs the contract test that every stage must pass: each item is settled exactly once over random
// batches, failing sends and full edges; nothing is left after the drain's flush; no more is held than its Bounds
// say; empty batches and ended contexts do no harm; nothing panics, no goroutine is left; and a real engine runs
// it with the concurrency of its traits. fresh is called for each run; services that the stage would
// Use are given to it as graph.NewHandle.
func VerifyStage[In, Out any](t *testing.T, traits graph.Traits, fresh func(d graph.Deps) Subject[In, Out]) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Run("settles each item once", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { verifyHistory(t, traits, fresh) })
	})
	t.Run("ended context", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { verifyEnded(t, traits, fresh) })
	})
	t.Run("empty batch", func(t *testing.T) { verifyEmpty(t, traits, fresh) })
	t.Run("in an engine", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { verifyEngine(t, traits, fresh) })
	})
	goleak.VerifyNone(t, ignore)
}

// rig is one subject on a recording port.
type rig[In, Out any] struct {
	t       require.TestingT
	subject Subject[In, Out]
	flusher graph.Flusher[Out] // nil: the stage may not hold items back
	bounds  graph.Bounds
	port    *Port[Out]
	budget  *graph.Budget

	offered []*Outcomes
	items   int
	largest graph.Window // the largest batch handed in
}

func newRig[In, Out any](t require.TestingT, traits graph.Traits, fresh func(d graph.Deps) Subject[In, Out]) *rig[In, Out] {
	budget := graph.NewBudget(graph.Window{Items: kitItems, Bytes: kitBytes})
	r := &rig[In, Out]{t: t, budget: budget}
	r.subject = fresh(graph.Deps{Name: "subject", Budget: budget, Logger: slog.New(slog.DiscardHandler)})
	r.flusher, _ = r.subject.Stage.(graph.Flusher[Out])
	if b, ok := r.subject.Stage.(graph.Bounder); ok {
		r.bounds = b.Bounds()
	}
	lanes := 1
	if traits.Partitions {
		lanes = r.subject.Stage.(graph.Partitioner).Lanes()
	}
	r.port = NewPort[Out](lanes)
	if o, ok := r.subject.Stage.(graph.Opener); ok {
		require.NoError(t, o.Open(context.Background()), "open")
	}
	return r
}

func (r *rig[In, Out]) close() {
	if c, ok := r.subject.Stage.(graph.Closer); ok {
		require.NoError(r.t, c.Close(), "close")
	}
}

// process hands a batch to the stage as the engine would, and settles what was sent.
func (r *rig[In, Out]) process(ctx context.Context, items []In) {
	b, o := NewWeighed(items, r.subject.weigh)
	r.offered = append(r.offered, o)
	r.items += len(items)
	r.largest.Items, r.largest.Bytes = max(r.largest.Items, b.Live()), max(r.largest.Bytes, b.Bytes())
	if err := r.subject.Stage.Process(ctx, b, r.port); err != nil {
		b.RejectLive(err)
	}
	r.settleSent()
	held := r.held()
	if r.flusher == nil {
		require.Zero(r.t, held, "items neither sent nor rejected by a stage that is no Flusher")
	}
	require.LessOrEqual(r.t, held, max(r.bounds.HoldItems, 0), "items held, against Bounds().HoldItems")
}

func (r *rig[In, Out]) flush(ctx context.Context, why graph.FlushReason) {
	if r.flusher == nil {
		return
	}
	wait, err := r.flusher.Flush(ctx, why, r.port)
	r.settleSent()
	if wait <= 0 && err == nil {
		require.Zero(r.t, r.held(), "Flush says that it holds nothing, but it does")
	}
}

// settleSent delivers what the stage has sent.
func (r *rig[In, Out]) settleSent() {
	for _, s := range r.port.Sent() {
		r.checkSize(s.Batch)
		if r.subject.Sent != nil {
			r.subject.Sent(s.Lane, s.Batch)
		}
	}
	r.port.DeliverAll()
}

func (r *rig[In, Out]) checkSize(b *graph.Batch[Out]) {
	items, bytes := r.bounds.BatchItems, r.bounds.BatchBytes
	if items == 0 {
		items = r.largest.Items + r.bounds.HoldItems
	}
	if bytes == 0 {
		bytes = r.largest.Bytes + r.bounds.HoldBytes
	}
	require.LessOrEqual(r.t, b.Live(), items, "items of a batch sent, against Bounds()")
	require.LessOrEqual(r.t, b.Bytes(), bytes, "bytes of a batch sent, against Bounds()")
}

func (r *rig[In, Out]) held() int {
	n := r.items
	for _, o := range r.offered {
		require.Empty(r.t, o.Faults())
		n -= o.Settled()
	}
	return n
}

// finish drains the stage and checks that nothing is left of what it was handed.
func (r *rig[In, Out]) finish(ctx context.Context) {
	r.flush(ctx, graph.FlushDrain)
	require.Zero(r.t, r.held(), "items left after the drain's flush")
	require.Zero(r.t, r.budget.Used(), "budget left in use")
	r.close()
}

func verifyHistory[In, Out any](t *rapid.T, traits graph.Traits, fresh func(d graph.Deps) Subject[In, Out]) {
	r := newRig(t, traits, fresh)
	fails := rapid.SliceOfN(rapid.SampledFrom([]error{nil, nil, nil, nil, ErrPort, graph.ErrNoCredit}), 1, 8).Draw(t, "port")
	sends := 0
	r.port.OnSend = func(int, *graph.Batch[Out]) error { sends++; return fails[sends%len(fails)] }
	for range rapid.IntRange(1, maxBatches).Draw(t, "batches") {
		r.process(t.Context(), r.subject.Batch(t))
		if rapid.Bool().Draw(t, "starved") {
			r.flush(t.Context(), graph.FlushStarved)
		}
		if rapid.Bool().Draw(t, "timer") {
			r.flush(t.Context(), graph.FlushTimer)
		}
	}
	r.finish(t.Context())
}

func verifyEnded[In, Out any](t *rapid.T, traits graph.Traits, fresh func(d graph.Deps) Subject[In, Out]) {
	r := newRig(t, traits, fresh)
	r.process(t.Context(), r.subject.Batch(t))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.process(ended, r.subject.Batch(t))
	r.finish(ended)
}

func verifyEmpty[In, Out any](t *testing.T, traits graph.Traits, fresh func(d graph.Deps) Subject[In, Out]) {
	r := newRig(t, traits, fresh)
	r.port.OnSend = func(int, *graph.Batch[Out]) error {
		t.Error("sent something that nobody offered")
		return nil
	}
	r.process(t.Context(), nil)
	r.flush(t.Context(), graph.FlushStarved)
	r.finish(t.Context())
}
