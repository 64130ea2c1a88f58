package graph_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
)

// The model test: random graphs under random load, with stages that reject, fail, panic and lose items, drained at a
// random moment. Whatever happens, each item gets one verdict, what is delivered is delivered once, a key's items
// arrive and are acked in order, and every window and the budget are full again.

// Sizes of the model's graphs and loads.
const (
	modelBudget   = 2000 // items
	modelOffer    = 8    // items of the largest offer
	modelStages   = 6
	modelOfferers = 4
	modelOffers   = 10 // of each offerer
	modelKeys     = 3  // of each offerer
)

var errModel = errors.New("the model's stage refuses")

// modelStage is one stage of a random graph.
type modelStage struct {
	kind   string
	fused  bool
	lanes  int
	cap    int           // of a holder, items
	wait   time.Duration // of a holder
	window int           // of its edge beyond the largest batch, items; < 0: none configured
}

// modelPlan is one random run.
type modelPlan struct {
	stages    []modelStage
	offers    [modelOfferers][]modelOffering
	drainAt   time.Duration
	deadline  time.Duration // of the drain; 0: none
	sinkDelay time.Duration
}

type modelOffering struct {
	after time.Duration
	keys  []int // one an item
}

func drawPlan(t *rapid.T) modelPlan {
	var p modelPlan
	millis := func(most int, label string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Millisecond
	}
	kinds := []string{"pass", "map", "filter", "hold", "shard", "key", "fold", "slow", "try", "fail", "panic", "lose"}
	for range rapid.IntRange(0, modelStages).Draw(t, "stages") {
		p.stages = append(p.stages, modelStage{
			kind:   rapid.SampledFrom(kinds).Draw(t, "kind"),
			fused:  rapid.Bool().Draw(t, "fused"),
			lanes:  rapid.IntRange(1, 3).Draw(t, "lanes"),
			cap:    rapid.IntRange(1, 20).Draw(t, "cap"),
			wait:   millis(3, "wait"),
			window: rapid.IntRange(-1, 10).Draw(t, "window"),
		})
	}
	for g := range p.offers {
		for range rapid.IntRange(0, modelOffers).Draw(t, "offers") {
			p.offers[g] = append(p.offers[g], modelOffering{
				after: millis(2, "after"),
				keys:  rapid.SliceOfN(rapid.IntRange(0, modelKeys-1), 1, modelOffer).Draw(t, "keys"),
			})
		}
	}
	p.drainAt, p.sinkDelay = millis(20, "drain at"), millis(2, "sink delay")
	if rapid.Bool().Draw(t, "hurry") {
		p.deadline = time.Millisecond + millis(8, "deadline")
	}
	return p
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt)
		var faults []string
		synctest.Test(t, func(*testing.T) { faults = plan.run() })
		for _, f := range faults {
			rt.Error(f)
		}
	})
}

// modelRun checks one run.
type modelRun struct {
	plan *modelPlan

	mu       sync.Mutex
	faults   []string       // guarded by mu
	verdicts map[word]int   // guarded by mu
	arrived  [2]map[int]int // guarded by mu; the last number of each key at the sink, and acked
}

func (r *modelRun) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// inOrder checks that a key's numbers rise, at the sink (0) or as acked (1).
func (r *modelRun) inOrder(where int, w word) {
	if last, seen := r.arrived[where][w.key]; seen && last >= w.n {
		r.fault("key %d: %d after %d at %d", w.key, w.n, last, where)
	}
	r.arrived[where][w.key] = w.n
}

func (r *modelRun) deliver(_ context.Context, in *graph.Batch[word]) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range in.Items {
		r.inOrder(0, w)
	}
	return nil
}

// modelSettler is one offer's.
type modelSettler struct {
	run   *modelRun
	items []word
}

func (s modelSettler) Settle(i int, o graph.Outcome) {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	w := s.items[i]
	s.run.verdicts[w]++
	if s.run.verdicts[w] > 1 {
		s.run.fault("%v settled twice", w)
	}
	if want := markOf(w); o.Mark != 0 && o.Mark != want {
		s.run.fault("%v has mark %d, not %d", w, o.Mark, want)
	}
	switch {
	case o.Err == nil:
		s.run.inOrder(1, w)
	case !s.run.plan.mayFail(o.Err):
		s.run.fault("%v was rejected: %v", w, o.Err)
	}
}

// markOf is by key: folding keeps the key, and a mark is of all that an item answers for.
func markOf(w word) uint8 { return uint8(1 + w.key) }

// mayFail says whether the plan has a reason to reject with err.
func (p *modelPlan) mayFail(err error) bool {
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(p.stages, func(s modelStage) bool { return slices.Contains(kinds, s.kind) })
	}
	switch {
	case errors.Is(err, graph.ErrDraining):
		return true
	case errors.Is(err, graph.ErrStopped), errors.Is(err, context.Canceled):
		return p.deadline > 0
	case errors.Is(err, graph.ErrLost):
		return has("lose")
	}
	return errors.Is(err, errModel) && has("filter", "try", "fail", "panic")
}

func (p *modelPlan) run() []string {
	r := &modelRun{plan: p, verdicts: map[word]int{}, arrived: [2]map[int]int{{}, {}}}
	spec, registry := p.graph(r)
	e, found := spec.Build(registry, graph.Options{})
	if len(found) > 0 {
		return texts(found)
	}
	if err := e.Start(context.Background()); err != nil {
		return []string{err.Error()}
	}
	var offering conc.WaitGroup
	for g := range p.offers {
		offering.Go(func() { p.offer(e, r, g) })
	}
	time.Sleep(p.drainAt)
	residue, err := p.drain(e)
	offering.Wait()
	time.Sleep(time.Second) // code that the drain gave up on returns

	r.mu.Lock()
	defer r.mu.Unlock()
	p.check(r, e, residue, err)
	return r.faults
}

func (p *modelPlan) drain(e *graph.Engine) (graph.Residue, error) {
	ctx := context.Background()
	if p.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.deadline)
		defer cancel()
	}
	return e.Drain(ctx)
}

func (p *modelPlan) check(r *modelRun, e *graph.Engine, residue graph.Residue, err error) {
	for g, offers := range p.offers {
		next := map[int]int{}
		for _, o := range offers {
			for _, k := range o.keys {
				w := word{key: g*modelKeys + k, n: next[k]}
				next[k]++
				if r.verdicts[w] != 1 {
					r.fault("%v has %d verdicts", w, r.verdicts[w])
				}
			}
		}
	}
	if p.deadline == 0 && (err != nil || len(residue.Left) > 0) {
		r.fault("drain without a deadline left %s: %v", residue, err)
	}
	stats := e.Stats()
	if stats.Budget != (graph.Window{}) || stats.Offers != 0 {
		r.fault("after the drain %s of the budget and %d offers are open", stats.Budget, stats.Offers)
	}
	for _, edge := range stats.Edges {
		if edge.Depth != (graph.Window{}) {
			r.fault("after the drain %s are queued into %s", edge.Depth, edge.To)
		}
	}
}

// offer offers goroutine g's items, of keys that are its own, in the order of their numbers.
func (p *modelPlan) offer(e *graph.Engine, r *modelRun, g int) {
	next := map[int]int{}
	for _, o := range p.offers[g] {
		time.Sleep(o.after)
		items, bytes := []word{}, []int32{}
		for _, k := range o.keys {
			items = append(items, word{key: g*modelKeys + k, n: next[k]})
			bytes = append(bytes, int32(k+1))
			next[k]++
		}
		s := modelSettler{run: r, items: append([]word(nil), items...)}
		_ = inlet(e).Offer(context.Background(), graph.Offer[word]{Items: items, Bytes: bytes, Settler: s}) // the verdicts tell
	}
}

// graph makes the spec and the kinds of the plan: in, charge, the stages s0, s1, …, out.
func (p *modelPlan) graph(r *modelRun) (*graph.Spec, *graph.Registry) {
	registry := toys(func(ctx context.Context, in *graph.Batch[word]) error {
		time.Sleep(p.sinkDelay)
		return r.deliver(ctx, in)
	})
	names := []string{"charge"}
	for i, s := range p.stages {
		name := fmt.Sprintf("s%d", i)
		names = append(names, name)
		traits := graph.Traits{Fused: s.fused, Partitions: s.kind == "shard" || s.kind == "key"}
		addStage(registry, name, traits, func(graph.Deps) graph.Stage[word, word] { return s.build() })
	}
	spec := line(names...)
	spec.Budget = graph.Window{Items: modelBudget, Bytes: modelBudget * modelKeys}
	at(spec, "in").Offers = graph.Window{Items: modelOffer, Bytes: modelOffer * modelKeys}
	largest := modelOffer
	for i, s := range p.stages {
		if s.window >= 0 {
			w := graph.Window{Items: largest + s.window, Bytes: int64(largest+s.window) * modelKeys}
			at(spec, names[i+1]).Edge = &graph.EdgeSpec{Window: w}
		}
		if s.kind == "hold" {
			largest += s.cap
		}
	}
	return spec, registry
}

func (s modelStage) build() graph.Stage[word, word] {
	switch s.kind {
	case "hold":
		return &laneHolder{cap: s.cap, wait: s.wait}
	case "shard":
		return sharder{lanes: s.lanes}
	case "key":
		return keyer{lanes: s.lanes}
	}
	return map[string]each[word, word]{
		"pass": pass, "map": marks, "filter": filters, "fold": folds, "slow": dawdles, "try": tries,
		"fail": fails, "panic": panics, "lose": loses,
	}[s.kind]
}
