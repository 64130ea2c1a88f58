package graph_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
)

// Items of the wiring tests.
type (
	Raw  struct{}
	Op   struct{}
	Ack  struct{}
	Lost struct{}
)

// inert is a stage or sink that is only wired.
type inert[In, Out any] struct {
	bounds graph.Bounds
	lanes  int
	export []any
}

func (inert[In, Out]) Process(context.Context, *graph.Batch[In], graph.Port[Out]) error { return nil }

func (inert[In, Out]) Deliver(context.Context, *graph.Batch[In]) error { return nil }

func (s inert[In, Out]) Bounds() graph.Bounds { return s.bounds }

func (s inert[In, Out]) Lanes() int { return s.lanes }

func (s inert[In, Out]) Exports() []any { return s.export }

type (
	recaller interface{ Recall() }
	answers  struct{}
)

func (answers) Recall() {}

func kind[In, Out any](r *graph.Registry, name string, traits graph.Traits, s inert[In, Out]) {
	graph.Register(r, name, graph.Doc{Traits: traits}, none{}, func(none, graph.Deps) (graph.Stage[In, Out], error) { return s, nil })
}

// kinds is a registry like engram's own: Raw, decoded to Op, journaled to Ack.
func kinds() *graph.Registry {
	r := graph.NewRegistry()
	graph.RegisterSource(r, "rpc", graph.Doc{}, none{}, func(none, graph.Deps, graph.Inlet[Raw]) (any, error) { return nil, nil })
	graph.RegisterSink(r, "origin", graph.Doc{}, none{}, func(none, graph.Deps) (graph.Sink[Ack], error) { return inert[Ack, Ack]{}, nil })
	kind(r, "decode", graph.Traits{Fused: true, Ordered: true}, inert[Raw, Op]{})
	kind(r, "admit", graph.Traits{Fused: true, Charges: true}, inert[Op, Op]{})
	kind(r, "coalesce", graph.Traits{Ordered: true}, inert[Op, Op]{bounds: graph.Bounds{HoldItems: 500, HoldBytes: 4096, BatchItems: 1000, BatchBytes: 8192}})
	kind(r, "enrich", graph.Traits{Parallel: true}, inert[Op, Op]{})
	kind(r, "tag", graph.Traits{Fused: true, Parallel: true}, inert[Op, Op]{})
	kind(r, "shard", graph.Traits{Partitions: true}, inert[Op, Op]{lanes: 4})
	kind(r, "laneless", graph.Traits{Partitions: true}, inert[Op, Op]{})
	kind(r, "journal", graph.Traits{Ordered: true}, inert[Op, Ack]{export: []any{answers{}}})
	kind(r, "audit", graph.Traits{}, inert[Ack, Ack]{export: []any{answers{}}})
	kind(r, "forget", graph.Traits{}, inert[Lost, Lost]{})
	graph.Register(r, "recall", graph.Doc{}, none{}, func(_ none, d graph.Deps) (graph.Stage[Ack, Ack], error) {
		graph.Use[recaller](d)
		return inert[Ack, Ack]{}, nil
	})
	graph.Register(r, "picky", graph.Doc{}, none{}, func(none, graph.Deps) (graph.Stage[Op, Op], error) {
		return nil, fault.New(fault.InvalidArgument, "is 0").WithField("max_wait").WithHint("give a duration, such as 5ms")
	})
	return r
}

// n is a node on line l of the file: its name at column 3, its kind at 10, what it reads from at 20, 30, ….
func n(l int, role graph.Role, name, kind string, from ...string) graph.NodeSpec {
	pos := func(column int) graph.Position { return graph.Position{File: "p.yaml", Line: l, Column: column} }
	node := graph.NodeSpec{Name: name, Role: role, Kind: kind, Pos: pos(3), KindPos: pos(10), WorkersPos: pos(50)}
	for i, f := range from {
		node.From = append(node.From, graph.FromSpec{Name: f, Pos: pos(20 + 10*i)})
	}
	return node
}

func source(l int, name string) graph.NodeSpec {
	node := n(l, graph.RoleSource, name, "rpc")
	node.Offers = graph.Window{Items: 100, Bytes: 1000}
	return node
}

func stage(l int, name string, from ...string) graph.NodeSpec {
	return n(l, graph.RoleStage, name, name, from...)
}

func sink(l int, from ...string) graph.NodeSpec {
	return n(l, graph.RoleSink, "out", "origin", from...)
}

func with(node graph.NodeSpec, change func(*graph.NodeSpec)) graph.NodeSpec {
	change(&node)
	return node
}

func workers(count int) func(*graph.NodeSpec) {
	return func(n *graph.NodeSpec) { n.Workers = count }
}

func window(items int, bytes int64) func(*graph.NodeSpec) {
	return func(n *graph.NodeSpec) {
		n.Edge = &graph.EdgeSpec{Window: graph.Window{Items: items, Bytes: bytes}, Pos: graph.Position{File: "p.yaml", Line: n.Pos.Line, Column: 40}}
	}
}

func build(budget graph.Window, nodes ...graph.NodeSpec) graph.Diagnostics {
	s := graph.Spec{Budget: budget, BudgetPos: graph.Position{File: "p.yaml", Line: 1, Column: 9}, Nodes: nodes}
	_, found := s.Build(kinds(), graph.Options{})
	return found
}

// enough is a budget that nothing in these tests runs out of.
var enough = graph.Window{Items: 10000, Bytes: 1 << 20}

func texts(found graph.Diagnostics) []string {
	out := []string{}
	for _, d := range found {
		out = append(out, d.Error())
	}
	return out
}

func TestBuildAcceptsTheDefaultShape(t *testing.T) {
	require.Empty(t, build(enough,
		source(2, "rpc"), source(3, "ws"), stage(4, "decode", "rpc", "ws"), stage(5, "admit", "decode"), stage(6, "coalesce", "admit"),
		stage(7, "shard", "coalesce"), with(stage(8, "journal", "shard"), window(1000, 8192)), sink(9, "journal")))
}

// chain is a pipeline that lacks its sink only.
var chain = []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(8, "journal", "admit")}

// chained is chain and what follows it.
func chained(more ...graph.NodeSpec) []graph.NodeSpec { return append(slices.Clone(chain), more...) }

// refusals are pipelines with all that Build has to say of each.
var refusals = map[string]struct {
	budget graph.Window
	nodes  []graph.NodeSpec
	want   []string
}{
	"nothing at all": {enough, nil, []string{
		`p.yaml:1:9: the pipeline has no source; hint: add a source`,
		`p.yaml:1:9: the pipeline has no sink; hint: add a sink`,
	}},
	"unknown kind": {enough, chained(sink(9, "journal"), n(10, graph.RoleStage, "x", "jurnal", "admit")), []string{
		`p.yaml:10:3: nothing reads from stage "x"; hint: let a stage or a sink read from it`,
		`p.yaml:10:10: unknown kind of stage "jurnal"; hint: did you mean "journal"?`,
		`p.yaml:10:20: "admit" is read by "journal" already: an item has one way through the graph, or it would be settled twice; hint: let "x" read from "journal", or give each a source of its own`,
	}},
	"unknown kind under the name of another": {enough, []graph.NodeSpec{source(2, "rpc"), n(4, graph.RoleStage, "audit", "decod", "rpc"), stage(5, "admit", "audit"), stage(8, "journal", "admit"), sink(9, "journal")}, []string{
		`p.yaml:4:10: unknown kind of stage "decod"; hint: did you mean "decode"?`,
	}},
	"kind of another role": {enough, chained(n(9, graph.RoleSink, "out", "journal", "journal")), []string{
		`p.yaml:9:10: unknown kind of sink "journal"; hint: "journal" is a kind of stage`,
	}},
	"name given twice": {enough, chained(sink(9, "journal"), stage(10, "decode", "rpc")), []string{
		`p.yaml:10:3: stage "decode" has the name of the stage at p.yaml:4:3; hint: give it another name`,
	}},
	"misspelt upstream": {enough, chained(sink(9, "jornal")), []string{
		`p.yaml:9:20: sink "out" reads from "jornal", which is not there; hint: did you mean "journal"?`,
	}},
	"unknown upstream": {enough, chained(sink(9, "elsewhere")), []string{
		`p.yaml:9:20: sink "out" reads from "elsewhere", which is not there; hint: there are "admit", "decode", "journal", "rpc"`,
	}},
	"reads from nothing": {enough, chained(sink(9, "journal"), stage(10, "audit")), []string{
		`p.yaml:10:3: stage "audit" reads from nothing, so no source reaches it; hint: say what it reads from`,
		`p.yaml:10:3: nothing reads from stage "audit"; hint: let a stage or a sink read from it`,
	}},
	"reads twice": {enough, chained(sink(9, "journal", "journal")), []string{
		`p.yaml:9:30: sink "out" reads from "journal" twice; hint: remove one`,
	}},
	"reads from a sink": {enough, chained(sink(9, "journal"), with(n(10, graph.RoleSink, "log", "origin", "out"), func(*graph.NodeSpec) {})), []string{
		`p.yaml:10:20: sink "log" reads from the sink "out", which has no output; hint: read from what the sink reads from`,
	}},
	"reads from a sink, and nothing reads what it should": {enough, chained(stage(9, "audit", "out"), sink(10, "audit")), []string{
		`p.yaml:9:20: stage "audit" reads from the sink "out", which has no output; hint: read from what the sink reads from`,
	}},
	"reads from nothing, and nothing reads what it should": {enough, chained(stage(9, "audit"), sink(10, "audit")), []string{
		`p.yaml:9:3: stage "audit" reads from nothing, so no source reaches it; hint: say what it reads from`,
	}},
	"misspelt upstream like the reader": {enough, chained(n(9, graph.RoleStage, "journal2", "audit", "jurnal2"), sink(10, "journal2")), []string{
		`p.yaml:9:20: stage "journal2" reads from "jurnal2", which is not there; hint: did you mean "journal"?`,
	}},
	"the only reader has a name given before": {enough, chained(n(9, graph.RoleSink, "decode", "origin", "journal"), n(10, graph.RoleSink, "out", "origin", "decode")), []string{
		`p.yaml:9:3: sink "decode" has the name of the stage at p.yaml:4:3; hint: give it another name`,
	}},
	"source with an input": {enough, chained(sink(9, "journal"), n(3, graph.RoleSource, "ws", "rpc", "rpc")), []string{
		`p.yaml:3:3: nothing reads from source "ws"; hint: let a stage or a sink read from it`,
		`p.yaml:3:20: source "ws" cannot read from "rpc": a source has no input; hint: remove it`,
	}},
	"cycle": {enough, []graph.NodeSpec{
		source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode", "enrich"), stage(6, "coalesce", "admit"),
		stage(7, "enrich", "coalesce"), n(9, graph.RoleSink, "out", "origin", "audit"), stage(10, "audit", "audit"),
	}, []string{
		`p.yaml:5:30: cycle: "admit" → "coalesce" → "enrich" → "admit"; hint: let one of them read from elsewhere: a graph has no cycles`,
		`p.yaml:10:20: cycle: "audit" → "audit"; hint: let "audit" read from what comes before it`,
	}},
	"two cycles through one stage": {enough, []graph.NodeSpec{
		source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode", "coalesce", "enrich"), stage(6, "coalesce", "admit"),
		stage(7, "enrich", "coalesce"), stage(8, "journal", "enrich"), sink(9, "journal"),
	}, []string{
		`p.yaml:5:30: cycle: "admit" → "coalesce" → "admit"; hint: let one of them read from elsewhere: a graph has no cycles`,
		`p.yaml:5:40: cycle: "admit" → "coalesce" → "enrich" → "admit"; hint: let one of them read from elsewhere: a graph has no cycles`,
	}},
	"one stage missing": {enough, []graph.NodeSpec{source(2, "rpc"), stage(6, "admit", "rpc"), stage(8, "journal", "admit"), sink(9, "journal")}, []string{
		`p.yaml:6:20: "admit" takes Op, but "rpc" gives Raw; hint: put a "decode" stage between them`,
	}},
	"two stages missing": {enough, []graph.NodeSpec{source(2, "rpc"), sink(9, "rpc")}, []string{
		`p.yaml:9:20: "out" takes Ack, but "rpc" gives Raw; hint: put a "decode" stage and a "journal" stage between them`,
	}},
	"echoes of one mistake": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(8, "journal", "admit"), sink(9, "admit")}, []string{
		`p.yaml:9:20: "out" takes Ack, but "admit" gives Op; hint: put a "journal" stage between them`,
	}},
	"nothing converts": {enough, chained(stage(9, "coalesce", "journal"), sink(10, "coalesce")), []string{
		`p.yaml:9:20: "coalesce" takes Op, but "journal" gives Ack; hint: "coalesce" can read from "decode" or "admit"`,
		`p.yaml:10:20: "out" takes Ack, but "coalesce" gives Op; hint: put a "journal" stage between them`,
	}},
	"settings": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "picky", "admit"), stage(8, "journal", "picky"), sink(9, "journal")}, []string{
		`p.yaml:6:3: stage "picky": max_wait: is 0; hint: give a duration, such as 5ms`,
	}},
	"workers of a serial kind": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), with(stage(8, "journal", "admit"), workers(2)), sink(9, "journal")}, []string{
		`p.yaml:8:50: "journal" cannot have 2 workers: a "journal" is run by one goroutine a lane; hint: remove it, or partition by a key upstream`,
	}},
	"workers before order": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), with(stage(7, "enrich", "admit"), workers(3)), stage(8, "journal", "enrich"), sink(9, "journal")}, []string{
		`p.yaml:7:50: 3 workers of "enrich" would pass items out of order to "journal", which relies on their order; hint: remove it from "enrich", or put "journal" before it`,
	}},
	"negative workers": {enough, chained(with(sink(9, "journal"), workers(-1)), with(source(3, "ws"), workers(2))), []string{
		`p.yaml:3:3: nothing reads from source "ws"`,
		`p.yaml:3:50: source "ws" cannot have workers: it runs on its callers' goroutines; hint: remove it`,
		`p.yaml:9:50: "out" has -1 workers; hint: give 1 or more`,
	}},
	"charged never": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(8, "journal", "decode"), sink(9, "journal")}, []string{
		`p.yaml:2:3: nothing between "rpc" and "out" charges the budget, so memory has no bound; hint: put an "admit" between them`,
	}},
	"charged twice": {enough, []graph.NodeSpec{source(2, "rpc"), source(3, "ws"), stage(4, "decode", "rpc", "ws"), stage(5, "admit", "decode"), n(6, graph.RoleStage, "again", "admit", "admit"), stage(8, "journal", "again"), sink(9, "journal")}, []string{
		`p.yaml:6:3: "again" charges the budget for what "admit" has charged already; hint: remove "admit" or "again"`,
	}},
	"queues before the charge": {enough, []graph.NodeSpec{
		source(2, "rpc"), source(3, "ws"), with(stage(4, "decode", "rpc", "ws"), window(1, 1)), stage(5, "coalesce", "decode"),
		with(stage(6, "tag", "coalesce"), workers(2)), with(stage(7, "admit", "tag"), window(1000, 1<<20)), stage(8, "journal", "admit"), sink(9, "journal"),
	}, []string{
		`p.yaml:4:40: "decode" has an edge, on which items wait before "admit" charges the budget for them: nothing counts them there; hint: remove it: edges stand behind "admit"`,
		`p.yaml:5:3: "coalesce" makes items wait before "admit" charges the budget for them: nothing counts them there; hint: put it behind "admit"`,
		`p.yaml:6:50: "tag" has workers, for which items wait before "admit" charges the budget for them: nothing counts them there; hint: remove it: workers stand behind "admit"`,
		`p.yaml:7:40: "admit" has an edge, on which items wait before "admit" charges the budget for them: nothing counts them there; hint: remove it: edges stand behind "admit"`,
	}},
	"empty budget": {graph.Window{Items: 0, Bytes: 5}, chained(sink(9, "journal")), []string{
		`p.yaml:1:9: the budget is 0 items, 5B; hint: give at least 1 item and 1 byte`,
	}},
	"offers beyond the budget": {graph.Window{Items: 50, Bytes: 5000}, chained(sink(9, "journal")), []string{
		`p.yaml:1:9: the budget is 50 items, 5000B, but "rpc" may offer 100 items, 1000B at once; hint: raise the budget, or lower the largest message`,
	}},
	"windows too small": {enough, []graph.NodeSpec{
		source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "coalesce", "admit"),
		with(stage(8, "journal", "coalesce"), window(999, 8000)), with(sink(9, "journal"), window(0, -1)),
	}, []string{
		`p.yaml:8:40: the edge into "journal" has a window of 999 items, but a batch of 1000 may come from "coalesce": it would never fit; hint: set items to 1000 or more, or let "coalesce" send smaller batches`,
		`p.yaml:8:40: the edge into "journal" has a window of 8000B, but a batch of 8KiB may come from "coalesce": it would never fit; hint: set bytes to 8KiB or more, or let "coalesce" send smaller batches`,
		`p.yaml:9:40: the edge into "out" has a window of 0 items, -1B: nothing fits it; hint: give at least 1 item and 1 byte`,
	}},
	"window under an unbounded source": {enough, []graph.NodeSpec{with(source(2, "rpc"), func(n *graph.NodeSpec) { n.Offers = graph.Window{} }), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), with(stage(8, "journal", "admit"), window(100, 1<<20)), sink(9, "journal")}, []string{
		`p.yaml:8:40: the edge into "journal" has a window of 100 items, but a batch of 10000 may come ("rpc" has no bound but the budget): it would never fit; hint: set items to 10000 or more, or let "rpc" send smaller batches`,
	}},
	"window of a source": {enough, append(slices.Clone(chain[1:]), with(source(2, "rpc"), window(100, 100)), sink(9, "journal")), []string{
		`p.yaml:2:40: source "rpc" cannot have an edge: it has no input; hint: remove it`,
	}},
	"holder that keeps the budget": {graph.Window{Items: 599, Bytes: 5000}, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "coalesce", "admit"), stage(8, "journal", "coalesce"), sink(9, "journal")}, []string{
		`p.yaml:6:3: the pipeline could stop for good: "coalesce" holds 500 + 100 in hand = 600 items, but the budget is 599 items; hint: raise budget.items to 600 or more, or let it hold less`,
		`p.yaml:6:3: the pipeline could stop for good: "coalesce" holds 4KiB + 1000B in hand = 5096B, but the budget is 5000B; hint: raise budget.bytes to 5096B or more, or let it hold less`,
	}},
	"holder that keeps the budget on its lanes": {graph.Window{Items: 2399, Bytes: 20384}, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "shard", "admit"), stage(7, "coalesce", "shard"), stage(8, "journal", "coalesce"), sink(9, "journal")}, []string{
		`p.yaml:7:3: the pipeline could stop for good: "coalesce" holds 500 + 100 in hand on each of 4 lanes = 2400 items, but the budget is 2399 items; hint: raise budget.items to 2400 or more, or let it hold less`,
	}},
	"no lanes": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "laneless", "admit"), stage(8, "journal", "laneless"), sink(9, "journal")}, []string{
		`p.yaml:6:3: "laneless" has no lanes to split into; hint: give it at least one`,
	}},
	"joins different lanes": {enough, []graph.NodeSpec{source(2, "rpc"), source(3, "ws"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "shard", "admit"), n(7, graph.RoleStage, "d2", "decode", "ws"), n(7, graph.RoleStage, "a2", "admit", "d2"), stage(8, "journal", "shard", "a2"), sink(9, "journal")}, []string{
		`p.yaml:8:30: "journal" joins 4 lanes of "shard" with 1 of "a2"; hint: let both come from the same partitioning stage`,
	}},
	"service of nobody": {enough, []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), n(8, graph.RoleStage, "j", "silent", "admit"), stage(9, "recall", "j"), sink(10, "recall")}, []string{
		`p.yaml:8:10: unknown kind of stage "silent"`,
	}}, // its kind might have exported the service
	"service of several": {enough, chained(stage(9, "audit", "journal"), stage(10, "recall", "audit"), sink(11, "recall")), []string{
		`p.yaml:10:3: "recall" needs recaller, but the pipeline has 2 providers (journal, audit) of it; hint: keep one of them`,
	}},
}

func TestBuildRefuses(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			got := texts(build(c.budget, c.nodes...))
			require.Len(t, got, len(c.want), "%q", got)
			for i, want := range c.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestBuildRefusesAServiceThatNobodyExports(t *testing.T) {
	r := kinds()
	kind(r, "mute", graph.Traits{}, inert[Op, Ack]{})
	s := graph.Spec{Budget: enough, Nodes: []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(8, "mute", "admit"), stage(9, "recall", "mute"), sink(10, "recall")}}
	_, found := s.Build(r, graph.Options{})
	require.Equal(t, []string{`p.yaml:9:3: "recall" needs recaller, but the pipeline has no provider of it; hint: add an "audit" or a "journal" stage`}, texts(found))

	e, found := s.Build(r, graph.Options{Provide: []any{answers{}}})
	require.Empty(t, found, "the application may provide it")
	_, err := graph.Service[recaller](e)
	require.NoError(t, err)
	_, err = graph.Service[error](e)
	require.ErrorContains(t, err, "no provider of error")
}

// Which edge of a cycle is blamed, and which windows are checked on and behind it, is not for the order of the file.
func TestACycleIsJudgedAlikeInAnyOrder(t *testing.T) {
	wired := []graph.NodeSpec{
		with(stage(4, "decode", "audit"), window(1, 1<<20)), stage(5, "admit", "decode"), stage(6, "coalesce", "admit"),
		with(stage(7, "enrich", "coalesce"), window(10, 1<<20)), with(stage(8, "journal", "enrich"), window(20, 1<<20)), stage(9, "audit", "journal"),
		with(stage(11, "forget", "forget"), window(1, 1)), stage(12, "shard", "enrich2"),
		n(13, graph.RoleStage, "coalesce2", "coalesce", "shard"), with(n(14, graph.RoleStage, "enrich2", "enrich", "coalesce2"), window(30, 1<<20)),
	}
	want := []string{
		`p.yaml:4:20: cycle: "decode" → "admit" → "coalesce" → "enrich" → "journal" → "audit" → "decode"`,
		`p.yaml:7:40: the edge into "enrich" has a window of 10 items, but a batch of 1000 may come from "coalesce"`,
		`p.yaml:8:40: the edge into "journal" has a window of 20 items, but a batch of 1000 may come from "coalesce"`,
		`p.yaml:11:20: cycle: "forget" → "forget"`,
		`p.yaml:13:20: cycle: "coalesce2" → "enrich2" → "shard" → "coalesce2"`,
		`p.yaml:14:40: the edge into "enrich2" has a window of 30 items, but a batch of 1000 may come from "coalesce2"`,
	}
	for range wired {
		wired = append(wired[1:], wired[0])
		got := texts(build(enough, append(slices.Clone(wired), source(2, "rpc"), sink(15, "rpc"))...))
		require.Len(t, got, len(want)+1, "%q", got) // the sink that reads the source is as wrong
		for i, line := range want {
			require.Contains(t, got[i], line)
		}
	}
}

// A kind that holds a part of the budget holds more once it is raised.
func TestTheBudgetThatTheHintNamesIsEnough(t *testing.T) {
	for _, parts := range []int{1, 4, 64} {
		r := kinds()
		graph.Register(r, "hoard", graph.Doc{}, none{}, func(_ none, d graph.Deps) (graph.Stage[Op, Op], error) {
			limit := d.Budget.Limit()
			return inert[Op, Op]{bounds: graph.Bounds{HoldItems: 50 + limit.Items/parts, HoldBytes: limit.Bytes / int64(parts)}}, nil
		})
		s := graph.Spec{Budget: graph.Window{Items: 20, Bytes: 1000}, Nodes: []graph.NodeSpec{
			source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "admit", "decode"), stage(6, "hoard", "admit"), stage(8, "journal", "hoard"), sink(9, "journal"),
		}}
		_, found := s.Build(r, graph.Options{})
		named := regexp.MustCompile(`raise budget\.items to (\d+)`).FindStringSubmatch(strings.Join(texts(found), "\n"))
		if parts == 1 {
			require.Nil(t, named, "no budget is")
			continue
		}
		require.NotNil(t, named, "%q", texts(found))
		s.Budget.Items, _ = strconv.Atoi(named[1])
		s.Budget.Bytes = 1 << 20
		_, found = s.Build(r, graph.Options{})
		require.Empty(t, texts(found))
		s.Budget.Items -= 2
		_, found = s.Build(r, graph.Options{})
		require.NotEmpty(t, found, "and not much more than enough")
	}
}

// A spec made by hand may carry the config of the kind that its author had in mind.
func TestTheConfigOfAnUnknownKindIsIgnoredUnlessItFits(t *testing.T) {
	nodes := chained(sink(9, "journal"))
	nodes[3].Kind, nodes[3].Config = "jurnal", &struct{ Fsync bool }{true}
	require.Equal(t, []string{`p.yaml:8:10: unknown kind of stage "jurnal"; hint: did you mean "journal"?`}, texts(build(enough, nodes...)))
}

func TestWhatIsMissingIsReportedAtItsSection(t *testing.T) {
	at := func(line int) graph.Position { return graph.Position{File: "p.yaml", Line: line, Column: 1} }
	s := graph.Spec{Budget: enough, Sections: map[graph.Role]graph.Position{graph.RoleSource: at(2), graph.RoleSink: at(9)}}
	_, found := s.Build(kinds(), graph.Options{})
	require.Equal(t, []string{"p.yaml:2:1: the pipeline has no source; hint: add a source", "p.yaml:9:1: the pipeline has no sink; hint: add a sink"}, texts(found))
}

func TestBuildRefusesAKindThatChargesBehindAQueue(t *testing.T) {
	r := kinds()
	kind(r, "toll", graph.Traits{Charges: true}, inert[Op, Op]{})
	s := graph.Spec{Budget: enough, Nodes: []graph.NodeSpec{source(2, "rpc"), stage(4, "decode", "rpc"), stage(5, "toll", "decode"), stage(8, "journal", "toll"), sink(9, "journal")}}
	_, found := s.Build(r, graph.Options{})
	require.Equal(t, []string{`p.yaml:5:3: "toll" makes items wait before "toll" charges the budget for them: nothing counts them there; hint: a kind that charges must run fused`}, texts(found))
}

func TestBuildReportsEverythingAtOnceInOrder(t *testing.T) {
	found := build(graph.Window{Items: 5000, Bytes: 1 << 20},
		source(2, "rpc"), stage(3, "admit", "rpc"), with(stage(4, "coalesce", "admit"), window(10, 1<<20)), n(5, graph.RoleStage, "j", "jounal", "coalesce"), sink(6, "jj"))
	require.Equal(t, []string{
		`p.yaml:3:20: "admit" takes Op, but "rpc" gives Raw; hint: put a "decode" stage between them`,
		`p.yaml:4:40: the edge into "coalesce" has a window of 10 items, but a batch of 100 may come from "rpc": it would never fit; hint: set items to 100 or more, or let "rpc" send smaller batches`,
		`p.yaml:5:10: unknown kind of stage "jounal"; hint: did you mean "journal"?`,
		`p.yaml:6:20: sink "out" reads from "jj", which is not there; hint: did you mean "j"?`,
	}, texts(found))
}

var errOpen = errors.New("no disk")
