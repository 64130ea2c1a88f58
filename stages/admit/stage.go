// Package admit is the stage that takes the process's budget for what comes, or refuses it.
//
// It bounds memory: what is past it is charged, in items and bytes, until it is settled. Charging and handing on are
// one step for a whole batch; a batch that finds no room is nacked (RESOURCE_EXHAUSTED) with the time after which
// room is likely. Above one fill of the budget clients are told to slow down, above a higher one everything is
// refused; each state is left a tenth lower. It never waits.
//
// A batch larger than the whole budget can never pass. The wiring check refuses a pipeline whose sources may offer
// one; if one comes all the same, it is nacked with both sizes in its message, since in smaller batches it would do.
//
// The state is one for the process, in admission.go, without clock or locks; this file is the shell. Safe for
// concurrent use.
package admit

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the kind `admit`.
func Register(r *graph.Registry) {
	graph.Register(r, "admit", graph.Doc{
		Summary: "Takes the budget for what comes, all or nothing a batch; slows clients down, and refuses what has no room.",
		Traits:  graph.Traits{Fused: true, Charges: true},
	}, Config{SlowDownAt: 0.8, RejectAt: 0.9}, func(c Config, d graph.Deps) (graph.Stage[session.Op, session.Op], error) {
		return newStage(c, d), nil
	})
}

// Admission tells how full the process is. The stage exports it. Safe for concurrent use.
type Admission interface {
	Pressure() session.Pressure
}

type stage struct {
	name   string
	budget *graph.Budget

	mu        sync.Mutex
	admission *admission // guarded by mu
}

func newStage(c Config, d graph.Deps) *stage {
	return &stage{name: d.Name, budget: d.Budget, admission: newAdmission(session.Thresholds(c))}
}

// Exports implements graph.Exporter: an Admission.
func (s *stage) Exports() []any { return []any{Admission(s)} }

// Process implements graph.Stage.
func (s *stage) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	if in.Len() == 0 {
		return nil
	}
	first := in.Items[0].Sequence
	if s.full() || !in.TryCharge(s.budget) {
		return s.refuse(first, s.why(in))
	}
	err := out.TrySend(ctx, in)
	if errors.Is(err, graph.ErrNoCredit) {
		// The charge goes back as the engine rejects the batch with this refusal.
		return s.refuse(first, "the stage after admission has no room")
	}
	return err
}

// Pressure implements Admission.
func (s *stage) Pressure() session.Pressure {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, l := time.Now(), s.load()
	used, limit := s.budget.Used(), s.budget.Limit()
	p := session.Pressure{
		State: s.admission.observe(now, l), Fill: min(l.fill, 1),
		Items: used.Items, ItemLimit: limit.Items, Bytes: used.Bytes, ByteLimit: limit.Bytes,
		DrainPerSecond: s.admission.drain.lately(now, l.returned),
	}
	if p.State != session.CreditOK {
		p.Stage, p.Retry = s.name, s.admission.retryAfter(l, jitter())
	}
	return p
}

func (s *stage) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admission.observe(time.Now(), s.load()) == session.CreditBufferFull
}

// load reads the budget. Called with mu held, so that the counts never go back from one reading to the next.
func (s *stage) load() load {
	return load{fill: s.budget.Fill(), items: s.budget.Used().Items, returned: s.budget.Returned()}
}

func (s *stage) refuse(expected uint64, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.load()
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackResourceExhausted, Expected: expected,
		Retry: s.admission.retryAfter(l, jitter()), Fill: min(l.fill, 1),
		Cause: fault.New(fault.ResourceExhausted, "%s", message),
	}
}

func jitter() float64 { return 2*rand.Float64() - 1 } //nolint:gosec // it spreads retries, and guards nothing

func (s *stage) why(in *graph.Batch[session.Op]) string {
	size, limit := graph.Window{Items: in.Live(), Bytes: in.Bytes()}, s.budget.Limit()
	if size.Items > limit.Items || size.Bytes > limit.Bytes {
		return "a batch of " + size.String() + " never fits the budget of " + limit.String() + "; send smaller batches"
	}
	return "the server's queue is full"
}
