package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/panics"

	"github.com/engram-stream/engram/internal/fault"
)

// node is a built source, stage or sink with its item types erased.
type node interface {
	// subject is what the kind's build function returned; optional abilities are looked for on it.
	subject() any
	// holds reports whether it may hold items back between calls.
	holds() bool
	// place gives the node its host; unless it is fused, an edge with the window is made.
	place(h *host, window Window)
	// join connects its output. The types have been checked.
	join(down node)
	// work runs one worker of a node with an edge until the edge ends.
	work(ctx context.Context, seat *seat)
}

// edgeControl is an edge with its item type erased.
type edgeControl interface {
	close()
	kill(reason error)
	stats() EdgeStats
	desks() []DeskStats // without what their workers know
	deepestKeys(n int) []string
	queuedOf(key string) Window
	// full, unpark, leadTo and cameFrom are between two edges on which the same keys wait; see edge.
	full(key Route) bool
	unpark()
	leadTo(down edgeControl)
	cameFrom(up edgeControl)
}

// host is the engine's side of a node.
type host struct {
	// Set when the graph is built, never changed.
	id         place
	name, kind string
	role       Role
	lanes      int // of its input
	outLanes   int
	partitions bool
	workers    int // goroutines a lane; 0 without an edge
	engine     *Engine
	node       node
	edge       edgeControl // nil: fused, or a source
	up         []*host
	down       *host // nil for a sink
	log        *slog.Logger

	seats   []*seat        // its workers, workers of each lane after another
	busy    busyKeys       // what takes their time
	working sync.WaitGroup // their goroutines
	done    chan struct{}  // closed when they have ended
	stats   stageStats
	warned  atomic.Int64 // engine time of the last warning, for the limit on them
}

// keyed says whether the node's edge tells keys apart. A holder's does not: what it holds is its lane's.
func (h *host) keyed() bool { return h.workers == 1 && !h.node.holds() }

// nothing is what a sink puts out.
type nothing struct{}

// sinkStage makes a stage of a sink: what it was handed and did not reject is delivered.
type sinkStage[In any] struct{ sink Sink[In] }

func (s sinkStage[In]) Process(ctx context.Context, in *Batch[In], _ Port[nothing]) error {
	if err := s.sink.Deliver(ctx, in); err != nil {
		return err
	}
	in.DeliverLive()
	return nil
}

// stageNode runs a stage, or a sink by way of sinkStage.
type stageNode[In, Out any] struct {
	stage   Stage[In, Out]
	built   any
	flusher Flusher[Out] // nil: it may not hold items back

	host  *host
	edge  *edge[In]
	next  entry[Out]
	calls sync.Pool // of *call[Out], for a fused node's callers
}

func newStageNode[In, Out any](s Stage[In, Out]) *stageNode[In, Out] {
	n := &stageNode[In, Out]{stage: s, built: s}
	n.flusher, _ = s.(Flusher[Out])
	return n
}

func newSinkNode[In any](s Sink[In]) *stageNode[In, nothing] {
	return &stageNode[In, nothing]{stage: sinkStage[In]{s}, built: s}
}

func (n *stageNode[In, Out]) subject() any { return n.built }
func (n *stageNode[In, Out]) holds() bool  { return n.flusher != nil }

func (n *stageNode[In, Out]) place(h *host, window Window) {
	n.host = h
	n.calls.New = func() any { return newCall(h, n.next) }
	if h.workers > 0 {
		n.edge = newEdge[In](h, window)
		h.edge = n.edge
	}
}

func (n *stageNode[In, Out]) join(down node) { n.next = entryOf[Out](down) }

// entryOf returns the way into a node whose input type is T.
func entryOf[T any](down node) entry[T] { return down.(interface{ entry() entry[T] }).entry() }

func (n *stageNode[In, Out]) entry() entry[In] {
	if n.edge != nil {
		return n.edge
	}
	return n
}

// enter runs a fused node on its sender's goroutine.
func (n *stageNode[In, Out]) enter(ctx context.Context, from *host, r Route, b *Batch[In], _ bool) error {
	w := b.move(from.id, n.host.id)
	if w.Items == 0 {
		return nil
	}
	c := n.calls.Get().(*call[Out])
	defer n.calls.Put(c)
	c.route = r
	return n.process(ctx, c, b.detach(), w)
}

// process runs the stage on one batch and settles what it leaves behind.
func (n *stageNode[In, Out]) process(ctx context.Context, c *call[Out], in *Batch[In], w Window) error {
	h := n.host
	h.stats.batches.Add(1)
	h.stats.items.Add(uint64(w.Items))
	run := h.begin(ctx, &c.frame, Call{Items: w.Items}, c.keep(in.refs))
	err := h.try(&c.catcher, func() (err error) { return n.stage.Process(run.ctx, in, c) })
	if err != nil {
		in.RejectLive(err)
	}
	if n.flusher == nil {
		err = c.conclude(err)
	}
	h.end(run, &c.frame, err)
	return err
}

// flush lets a holder send what it holds and returns how long it may go on holding; 0 when it holds nothing.
func (n *stageNode[In, Out]) flush(ctx context.Context, c *call[Out], why FlushReason) time.Duration {
	h := n.host
	h.stats.flushes.Add(1)
	held := c.sweep()
	run := h.begin(ctx, &c.frame, Call{Items: held, Flush: why}, c.custody)
	var wait time.Duration
	err := h.try(&c.catcher, func() (err error) {
		wait, err = n.flusher.Flush(run.ctx, why, c)
		return err
	})
	if why == FlushDrain || wait <= 0 {
		wait = 0
		err = c.conclude(err)
	}
	h.end(run, &c.frame, err)
	return wait
}

// running is a call in progress.
type running struct {
	ctx   context.Context
	call  Call
	began time.Duration
}

func (h *host) begin(ctx context.Context, f *frame, c Call, items []row) running {
	f.away, f.sent = 0, nil
	h.stats.active.Add(1)
	if hooks := h.engine.hooks; hooks != nil {
		c.Node, c.Lane, c.Traces = h.name, f.route.Lane, traces(items)
		ctx = hooks.Begin(ctx, c)
	}
	return running{ctx: ctx, call: c, began: h.engine.now()}
}

func (h *host) end(run running, f *frame, err error) {
	elapsed := h.engine.now() - run.began
	busy := elapsed - f.away
	status := blame(err, f.sent)
	h.stats.active.Add(-1)
	h.stats.ended[status].countTook(run.call, busy)
	if hooks := h.engine.hooks; hooks != nil {
		hooks.End(run.ctx, run.call, CallResult{Status: status, Err: err, Elapsed: elapsed, Busy: busy})
	}
	if status == Failure {
		h.warn(err)
	}
}

// try runs a stage's code; a panic becomes an error that names the stage. The catcher is used up by a panic.
func (h *host) try(catcher *panics.Catcher, code func() error) (err error) {
	catcher.Try(func() { err = code() })
	if r := catcher.Recovered(); r != nil {
		*catcher = panics.Catcher{}
		return h.panicked(r)
	}
	return err
}

func (h *host) panicked(r *panics.Recovered) error {
	h.log.Error("stage panicked", "panic", fmt.Sprint(r.Value), "stack", string(r.Stack))
	cause := fmt.Errorf("%w: %v", ErrPanicked, r.Value)
	if err, ok := r.Value.(error); ok {
		cause = fmt.Errorf("%w: %w", ErrPanicked, err)
	}
	return fault.Wrap(fault.Internal, cause, "stage %q", h.name)
}

// ErrPanicked is in the chain of the error that a stage's panic becomes.
var ErrPanicked = errors.New("panicked")

// ErrLost is in the chain of the reason with which the engine rejects items that a stage neither sent nor rejected.
var ErrLost = errors.New("neither sent on nor rejected")

func (h *host) lost() error {
	return fault.Wrap(fault.Internal, ErrLost, "stage %q lost the item", h.name)
}

// warnEvery limits the warnings about one failing node.
const warnEvery = time.Second

func (h *host) warn(err error) {
	now, last := int64(h.engine.now()), h.warned.Load()
	if (last == 0 || now-last >= int64(warnEvery)) && h.warned.CompareAndSwap(last, max(now, 1)) {
		h.log.Warn("stage failed", "error", err, "failures", h.stats.ended[Failure].calls.Load())
	}
}
