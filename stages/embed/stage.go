// Package embed is the stage that gives observations without a vector one, made from their content.
//
// Ops that bring a vector, and forgets, pass at once, unless something of their session waits before them: then they get
// in its line, since a session's order never changes. So a slow embedder holds up the sessions that need it and no others.
// Each session has one piece of work at a time, whoever waits longest is next, and workers bound how many there are.
//
// A text that can never be embedded becomes a stored rejection. When the embedder fails for now, the session's line is
// nacked from its first number on, with a time to send it again. So is what the bounds have no room for. What was
// embedded carries the embedder's identity, which the journal compares with the space's. lines.go is the core, without
// clock or goroutine; work.go embeds; this file is the shell.
package embed

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// Kind is the name of the kind.
const Kind = "embed"

// The most that waits in one lane: an eighth of the budget, and no more than this.
const (
	maxHoldItems    = 16 << 10
	maxHoldBytes    = 16 << 20
	budgetHoldParts = 8
)

// A lane looks whether something is embedded after an eighth of the time that it has waited for, within these limits: the
// engine wakes it for input and at times, and for nothing else.
const (
	minLook   = 100 * time.Microsecond
	maxLook   = 25 * time.Millisecond
	lookParts = 8
)

// drainPatience is how long the drain waits for embedders before it gives up what they have not done.
const drainPatience = 2 * time.Second

// warnEvery limits the warnings about an embedder that fails.
const warnEvery = time.Second

// fullRetry is what those are told to wait for whom there is no room.
const fullRetry = 250 * time.Millisecond

// Embedding knows what embeds on this server; nil: nothing does. Safe for concurrent use.
type Embedding interface {
	Embedder() memory.Embedder
}

// Register adds the kind `embed`.
func Register(r *graph.Registry) {
	graph.Register(r, Kind, graph.Doc{
		Summary: "Makes vectors of the content of observations that bring none; holds up the sessions that need it, no others.",
		Traits:  graph.Traits{Ordered: true},
	}, Config{Workers: 4}, func(c Config, d graph.Deps) (graph.Stage[session.Op, session.Op], error) {
		return newStage(c, d.Budget, graph.Use[Embedding](d), d.Logger), nil
	})
}

type stage struct {
	config    Config
	embedding *graph.Handle[Embedding]
	limit     graph.Window
	logger    *slog.Logger

	working context.Context // of the work; ends with Close
	stop    context.CancelFunc
	busy    atomic.Int64 // workers at work, over all lanes
	workers sync.WaitGroup
	warned  atomic.Int64 // when the last warning was logged, in nanoseconds since 1970

	mu    sync.Mutex
	lanes map[int]*lane // guarded by mu; a lane itself belongs to its goroutine
}

func newStage(c Config, budget *graph.Budget, embedding *graph.Handle[Embedding], logger *slog.Logger) *stage {
	limit := budget.Limit()
	s := &stage{
		config: c, embedding: embedding, logger: logger, lanes: map[int]*lane{},
		limit: graph.Window{
			Items: max(1, min(maxHoldItems, limit.Items/budgetHoldParts)), Bytes: max(1, min(maxHoldBytes, limit.Bytes/budgetHoldParts)),
		},
	}
	s.working, s.stop = context.WithCancel(context.Background())
	return s
}

// Bounds implements graph.Bounder. It holds a unary call's ops whole, even if they are more than its limit, and nothing
// else then. What it sends is as it came, in pieces of a wire message's size at most.
func (s *stage) Bounds() graph.Bounds {
	return graph.Bounds{HoldItems: max(s.limit.Items, memory.MaxBatch), HoldBytes: s.limit.Bytes, BatchItems: memory.MaxBatch}
}

// Close implements graph.Closer. It waits for the workers, who give up.
func (s *stage) Close() error {
	s.stop()
	s.workers.Wait()
	return nil
}

// lane is what waits in one lane, and who works on it.
type lane struct {
	stage *stage
	lines *lines
	out   graph.Port[session.Op]
	work  []*work // under way
	since time.Time
}

func (s *stage) lane(ctx context.Context, out graph.Port[session.Op]) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := graph.LaneOf(ctx)
	if s.lanes[i] == nil {
		s.lanes[i] = &lane{stage: s, lines: newLines(s.limit)}
	}
	s.lanes[i].out = out
	return s.lanes[i]
}

// Process implements graph.Stage.
func (s *stage) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	l := s.lane(ctx, out)
	err := l.collect(ctx)
	if len(l.lines.of) == 0 && !anyLacksVector(in.Items) {
		return firstError(err, l.send(ctx, in))
	}
	for _, run := range runs(in) {
		err = firstError(err, l.take(ctx, run))
	}
	l.begin()
	return err
}

func anyLacksVector(ops []session.Op) bool {
	for i := range ops {
		if lacksVector(&ops[i]) {
			return true
		}
	}
	return false
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// take lets ops of one attachment pass, or get in line.
func (l *lane) take(ctx context.Context, run *graph.Batch[session.Op]) error {
	if !l.lines.waits(run.Items) {
		return l.send(ctx, run)
	}
	if refused := l.lines.add(run); refused.Len() > 0 {
		refused.RejectLive(l.full(refused.Items[0].Sequence))
	}
	return nil
}

func (l *lane) full(first uint64) *session.Refusal {
	held, limit := l.lines.held, l.lines.limit
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackResourceExhausted, Expected: first, Retry: fullRetry, Late: true,
		Fill: min(max(float64(held.Items)/float64(limit.Items), float64(held.Bytes)/float64(limit.Bytes)), 1),
		Cause: fault.New(fault.ResourceExhausted, "as much waits to be embedded as there is room for").WithReason("EMBEDDER_BUSY").
			WithHint("send it again after the time given, or bring vectors"),
	}
}

// send passes a batch on in pieces of a wire message's size at most.
func (l *lane) send(ctx context.Context, b *graph.Batch[session.Op]) (err error) {
	for b.Len() > memory.MaxBatch {
		var piece *graph.Batch[session.Op]
		piece, b = graph.Cut(b, memory.MaxBatch)
		err = firstError(err, l.out.Send(ctx, piece))
	}
	if b.Len() == 0 {
		return err
	}
	return firstError(err, l.out.Send(ctx, b))
}

// Flush implements graph.Flusher.
func (s *stage) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[session.Op]) (time.Duration, error) {
	l := s.lane(ctx, out)
	if why == graph.FlushDrain {
		return 0, l.drain(ctx)
	}
	err := l.collect(ctx)
	l.begin()
	if len(l.lines.of) == 0 {
		return 0, err
	}
	return min(max(time.Since(l.since)/lookParts, minLook), maxLook), err
}
