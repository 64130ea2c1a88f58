package graphtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
)

// verdict is a rapid.TB that notes the first failure instead of failing.
type verdict struct {
	rapid.TB // nil: rapid needs no more of it than what follows
	failed   bool
	said     string
}

type stopped struct{}

func (v *verdict) Helper()                   {}
func (v *verdict) Name() string              { return "planted" }
func (v *verdict) Log(args ...any)           { v.said += fmt.Sprintln(args...) }
func (v *verdict) Failed() bool              { return v.failed }
func (v *verdict) Fail()                     { v.failed = true }
func (v *verdict) FailNow()                  { v.failed = true; panic(stopped{}) }
func (v *verdict) Fatal(args ...any)         { v.Log(args...); v.FailNow() }
func (v *verdict) Error(args ...any)         { v.Log(args...); v.Fail() }
func (v *verdict) Logf(f string, a ...any)   { v.Log(fmt.Sprintf(f, a...)) }
func (v *verdict) Errorf(f string, a ...any) { v.Error(fmt.Sprintf(f, a...)) }
func (v *verdict) Fatalf(f string, a ...any) { v.Fatal(fmt.Sprintf(f, a...)) }

// quietly sets a flag of rapid's for the test: planted bugs shall neither be shrunk for long nor leave files.
func quietly(t *testing.T, name, value string) {
	before := flag.Lookup(name).Value.String()
	require.NoError(t, flag.Set(name, value))
	t.Cleanup(func() { require.NoError(t, flag.Set(name, before)) })
}

// caught runs a property that should fail and returns what it said.
func caught(prop func(t *rapid.T)) (failed bool, said string) {
	v := &verdict{}
	var run conc.WaitGroup
	run.Go(func() { rapid.Check(v, prop) })
	run.WaitAndRecover()
	return v.failed, v.said
}

// planted is a stage with a bug.
type planted func(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error

func (p planted) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	return p(ctx, in, out)
}

// hoarder holds everything, whatever its bounds; with forgets, it never lets go either.
type hoarder struct {
	bounds  graph.Bounds
	forgets bool
	held    []*graph.Batch[int]
}

func (h *hoarder) Bounds() graph.Bounds { return h.bounds }

func (h *hoarder) Process(_ context.Context, in *graph.Batch[int], _ graph.Port[int]) error {
	h.held = append(h.held, in)
	return nil
}

func (h *hoarder) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[int]) (time.Duration, error) {
	if why != graph.FlushDrain || h.forgets {
		return time.Hour, nil
	}
	var errs []error
	for _, b := range h.held {
		errs = append(errs, out.Send(ctx, b))
	}
	return 0, errors.Join(errs...)
}

func TestTheKitFindsPlantedBugs(t *testing.T) {
	quietly(t, "rapid.nofailfile", "true")
	quietly(t, "rapid.shrinktime", "1ms")
	for name, c := range map[string]struct {
		fresh func() graph.Stage[int, int]
		want  string
	}{
		"loses an item": {func() graph.Stage[int, int] {
			return planted(func(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
				graph.Take(in, []int{0})
				return out.Send(ctx, in)
			})
		}, "neither sent nor rejected"},
		"leaves what it does not like": {func() graph.Stage[int, int] {
			return planted(func(context.Context, *graph.Batch[int], graph.Port[int]) error { return nil })
		}, "neither sent nor rejected"},
		"ignores a full edge": {func() graph.Stage[int, int] {
			return planted(func(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
				_ = out.TrySend(ctx, in)
				return nil
			})
		}, "neither sent nor rejected"},
		"sends more at once than it says": {func() graph.Stage[int, int] {
			return &hoarder{bounds: graph.Bounds{HoldItems: 1000, HoldBytes: 1000, BatchItems: 1, BatchBytes: 1}}
		}, "of a batch sent, against Bounds()"},
		"holds more than it says": {func() graph.Stage[int, int] { return &hoarder{bounds: graph.Bounds{HoldItems: 3}} }, "against Bounds().HoldItems"},
		"holds at the drain":      {func() graph.Stage[int, int] { return &hoarder{bounds: graph.Bounds{HoldItems: 1000}, forgets: true} }, "left after the drain's flush"},
		"panics": {func() graph.Stage[int, int] {
			return planted(func(context.Context, *graph.Batch[int], graph.Port[int]) error { panic("planted") })
		}, "planted"},
		"keeps the budget": {nil, "budget left in use"},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func(d graph.Deps) Subject[int, int] {
				s := Subject[int, int]{Batch: func(t *rapid.T) []int { return rapid.SliceOfN(rapid.Int(), 2, 6).Draw(t, "items") }}
				if c.fresh == nil {
					s.Stage = &stranger{budget: d.Budget}
				} else {
					s.Stage = c.fresh()
				}
				return s
			}
			failed, said := caught(func(t *rapid.T) {
				verifyHistory(t, graph.Traits{}, fresh)
				verifyEngine(t, graph.Traits{}, fresh)
			})
			require.True(t, failed)
			require.Contains(t, said, c.want)
		})
	}
}

// stranger charges an item that it makes up itself, and so never settles.
type stranger struct{ budget *graph.Budget }

func (s *stranger) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	made, _ := NewBatch(1)
	made.TryCharge(s.budget)
	return out.Send(ctx, in)
}
