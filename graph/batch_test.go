package graph_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
)

// TestBatchOperations puts one offer through random operations and compares with a model: every offered item is
// either settled or live in exactly one batch, and what is done to an item falls on what it stands for.
func TestBatchOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "items")
		offered, first := make([]int, n), modelBatch{}
		for i := range n {
			offered[i] = i
			first.stands = append(first.stands, []int{i})
		}
		m := &batchModel{t: t, n: n, want: map[int]error{}}
		first.b, m.o = graphtest.NewWeighed(offered, func(i int) int32 { return int32(i + 1) })
		m.live = []modelBatch{first}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			m.step()
			m.check()
		}
		for _, b := range m.live {
			for j := range b.stands {
				m.settle(b, j, nil)
			}
			b.b.DeliverLive()
		}
		m.live = nil
		m.check()
	})
}

// modelBatch is a batch and, for each of its items, the live offered items that it stands for.
type modelBatch struct {
	b      *graph.Batch[int]
	stands [][]int
}

type batchModel struct {
	t    *rapid.T
	o    *graphtest.Outcomes
	n    int
	want map[int]error // of the settled items
	live []modelBatch
}

func (m *batchModel) step() {
	i := rapid.IntRange(0, len(m.live)-1).Draw(m.t, "batch")
	b := m.live[i]
	switch rapid.SampledFrom([]string{"take", "map", "fold", "concat", "reject", "compact"}).Draw(m.t, "op") {
	case "take":
		m.take(b)
	case "map":
		m.live[i].b = graph.Map(b.b, append([]int(nil), b.b.Items...))
	case "fold":
		m.live[i] = m.fold(b)
	case "concat":
		m.concat()
	case "reject":
		if alive := b.alive(); len(alive) > 0 {
			j := rapid.SampledFrom(alive).Draw(m.t, "reject it")
			m.settle(b, j, errFaulty)
			b.b.Reject(j, errFaulty)
		}
	case "compact":
		b.b.Compact()
		m.live[i].stands = slices.DeleteFunc(b.stands, func(s []int) bool { return len(s) == 0 })
	}
}

// alive lists the items of b that still stand for something.
func (b modelBatch) alive() []int {
	var out []int
	for j, s := range b.stands {
		if len(s) > 0 {
			out = append(out, j)
		}
	}
	return out
}

func (m *batchModel) take(b modelBatch) {
	var some []int
	var taken modelBatch
	for _, j := range b.alive() {
		if rapid.Bool().Draw(m.t, "take it") {
			some = append(some, j)
			taken.stands = append(taken.stands, b.stands[j])
			b.stands[j] = nil
		}
	}
	taken.b = graph.Take(b.b, some)
	m.live = append(m.live, taken)
}

func (m *batchModel) concat() {
	var all modelBatch
	var batches []*graph.Batch[int]
	for _, b := range m.live {
		batches = append(batches, b.b)
		all.stands = append(all.stands, b.stands...)
	}
	all.b = graph.Concat(batches...)
	m.live = []modelBatch{all}
}

func (m *batchModel) fold(b modelBatch) modelBatch {
	var out modelBatch
	var values, ends []int
	for j := range b.stands {
		if j == 0 || rapid.Bool().Draw(m.t, "new group") {
			out.stands, values, ends = append(out.stands, nil), append(values, j), append(ends, 0)
		}
		last := len(ends) - 1
		out.stands[last], ends[last] = append(out.stands[last], b.stands[j]...), j+1
	}
	out.b = graph.Fold(b.b, values, ends)
	return out
}

// settle says that item j of b is about to be settled.
func (m *batchModel) settle(b modelBatch, j int, err error) {
	for _, k := range b.stands[j] {
		m.want[k] = err
	}
	b.stands[j] = nil
}

func (m *batchModel) check() {
	for _, b := range m.live {
		require.Equal(m.t, len(b.stands), b.b.Len())
		items, bytes := 0, int64(0)
		for _, s := range b.stands {
			items += len(s)
			for _, k := range s {
				bytes += int64(k + 1)
			}
		}
		require.Equal(m.t, items, b.b.Live())
		require.Equal(m.t, bytes, b.b.Bytes())
	}
	require.Empty(m.t, m.o.Faults())
	require.Equal(m.t, len(m.want), m.o.Settled())
	for k, err := range m.want {
		require.Equal(m.t, err, m.o.Err(k))
	}
}

func TestBatchMisuse(t *testing.T) {
	b, _ := graphtest.NewBatch(1, 2, 3)
	graph.Take(b, []int{1})
	require.Panics(t, func() { b.Reject(1, errFaulty) }, "taken")
	require.Panics(t, func() { graph.Take(b, []int{1}) }, "taken twice")
	require.Panics(t, func() { graph.Map(b, []int{1}) }, "too few")
	require.Panics(t, func() { graph.Fold(b, []int{1, 2}, []int{2, 2}) }, "an empty run")
	require.Panics(t, func() { graph.Fold(b, []int{1}, []int{2}) }, "a rest")
	require.Panics(t, func() { graph.Fold(b, []int{1}, []int{4}) }, "beyond the batch")
}

func TestMarkReachesTheSettler(t *testing.T) {
	b, o := graphtest.NewBatch(1, 2, 3)
	b.Mark(1, 7)
	folded := graph.Fold(b, []string{"1 and 2", "3"}, []int{2, 3})
	folded.Mark(1, 9)
	folded.DeliverLive()
	for i, want := range []uint8{0, 7, 9} {
		got, ok := o.Of(i)
		require.True(t, ok)
		require.Equal(t, want, got.Mark)
	}
}

func TestBudget(t *testing.T) {
	budget := graph.NewBudget(graph.Window{Items: 10, Bytes: 100})
	b, _ := graphtest.NewWeighed([]int{1, 2, 3}, func(n int) int32 { return int32(10 * n) })
	require.True(t, b.TryCharge(budget))
	require.Equal(t, graph.Window{Items: 3, Bytes: 60}, budget.Used())
	require.InDelta(t, 0.6, budget.Fill(), 1e-9)
	heavy, _ := graphtest.NewWeighed([]int{1}, func(int) int32 { return 41 })
	require.False(t, heavy.TryCharge(budget), "bytes bind")
	many, _ := graphtest.NewWeighed(make([]int, 8), func(int) int32 { return 0 })
	require.False(t, many.TryCharge(budget), "items bind")
	require.Equal(t, graph.Window{Items: 3, Bytes: 60}, budget.Used(), "a refused charge takes nothing")
	require.Panics(t, func() { b.TryCharge(budget) }, "charged twice")
	b2, _ := graphtest.NewBatch(1)
	require.True(t, b2.TryCharge(graph.NewBudget(graph.Window{Items: 1, Bytes: 1})))
	b2.Uncharge()
	b2.Uncharge()
}

func TestCreditReturnsItemByItem(t *testing.T) {
	budget := graph.NewBudget(graph.Window{Items: 10, Bytes: 100})
	b, _ := graphtest.NewWeighed([]int{1, 2, 3}, func(n int) int32 { return int32(10 * n) })
	require.True(t, b.TryCharge(budget))
	b.Reject(1, errors.New("no"))
	require.Equal(t, graph.Window{Items: 2, Bytes: 40}, budget.Used())
	b.DeliverLive()
	require.Zero(t, budget.Used())
	require.EqualValues(t, 3, budget.Returned())
}
