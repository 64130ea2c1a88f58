package shard

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

const lanes = 4

// spaces are a dozen attachments, each of a space of its own.
func spaces() []*session.Attachment {
	out := make([]*session.Attachment, 12)
	for i := range out {
		out[i] = &session.Attachment{Space: fmt.Sprintf("space-%d", i)}
	}
	return out
}

func TestVerify(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Fused: true, Partitions: true}, func(graph.Deps) graphtest.Subject[session.Op, session.Op] {
		all, next := spaces(), uint64(0)
		return graphtest.Subject[session.Op, session.Op]{
			Stage: stage{lanes: lanes},
			Batch: func(t *rapid.T) []session.Op { return drawOps(t, all, &next) },
		}
	})
}

func drawOps(t *rapid.T, from []*session.Attachment, next *uint64) []session.Op {
	ops := make([]session.Op, rapid.IntRange(1, 30).Draw(t, "ops"))
	for i := range ops {
		*next++
		ops[i] = session.Op{From: rapid.SampledFrom(from).Draw(t, "from"), Op: memory.Op{Sequence: *next}}
	}
	return ops
}

// TestASpaceStaysInOrder: over random batches, each op leaves once, a batch is of one space and goes by its key, to one
// lane only, and the ops of a space leave in the order they came.
func TestASpaceStaysInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, next := spaces(), uint64(0)
		home, last, left := map[string]int{}, map[string]uint64{}, uint64(0)
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			in, _ := graphtest.NewBatch(drawOps(t, all, &next)...)
			port := graphtest.NewPort[session.Op](lanes)
			require.NoError(t, stage{lanes: lanes}.Process(t.Context(), in, port))
			for _, s := range port.Sent() {
				if lane, known := home[s.Route.Key]; known {
					require.Equal(t, lane, s.Lane, "%s has moved", s.Route.Key)
				}
				home[s.Route.Key] = s.Lane
				for _, op := range s.Batch.Items {
					require.Equal(t, s.Route.Key, op.From.Space)
					require.Greater(t, op.Sequence, last[op.From.Space])
					last[op.From.Space] = op.Sequence
					left++
				}
			}
		}
		require.Equal(t, next, left)
	})
}

func TestABatchOfOneSpaceStaysOneBatch(t *testing.T) {
	from, other := spaces()[0], spaces()[0]
	in, _ := graphtest.NewBatch(session.Op{From: from}, session.Op{From: other}, session.Op{From: from})
	port := graphtest.NewPort[session.Op](lanes)
	require.NoError(t, stage{lanes: lanes}.Process(t.Context(), in, port))
	require.Len(t, port.Sent(), 1)
	assert.Equal(t, graph.Route{Lane: laneOf(from.Space, lanes), Key: from.Space}, port.Sent()[0].Route)
	assert.Equal(t, 3, port.Sent()[0].Batch.Live())
}

func TestAFailedSpaceDoesNotStopTheOthers(t *testing.T) {
	var ops []session.Op
	for _, from := range spaces() {
		ops = append(ops, session.Op{From: from})
	}
	in, outcomes := graphtest.NewBatch(ops...)
	port := graphtest.NewPort[session.Op](lanes)
	port.OnSend = func(_ int, b *graph.Batch[session.Op]) error {
		if b.Items[0].From == ops[0].From {
			return graphtest.ErrPort
		}
		return nil
	}
	require.ErrorIs(t, stage{lanes: lanes}.Process(t.Context(), in, port), graphtest.ErrPort)
	assert.Equal(t, 1, outcomes.Settled())
	port.DeliverAll()
	assert.Equal(t, len(ops), outcomes.Settled())
}

// TestLanesAreStable pins the hash: a space's lane does not change with the version of engram.
func TestLanesAreStable(t *testing.T) {
	got := map[string]int{}
	for _, space := range []string{"", "faces", "a", "fashion-mnist"} {
		got[space] = laneOf(space, 64)
	}
	assert.Equal(t, map[string]int{"": 37, "a": 12, "faces": 61, "fashion-mnist": 43}, got)
}

func TestLanesAreEvenlyUsed(t *testing.T) {
	used := make([]int, 16)
	for i := range 16_000 {
		used[laneOf(fmt.Sprintf("user-%d", i), len(used))]++
	}
	for lane, n := range used {
		assert.InDelta(t, 1000, n, 200, "lane %d", lane)
	}
}

func TestConfigIsChecked(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	defaults := *r.Lookup(graph.RoleStage, "shard").NewConfig().(*Config)
	assert.Equal(t, Config{By: "space", Workers: 4}, defaults)
	cases := map[string]struct {
		config Config
		want   []string
	}{
		"defaults": {defaults, nil},
		"one":      {Config{"space", 1}, nil},
		"most":     {Config{"space", 64}, nil},
		"none":     {Config{"space", 0}, []string{"workers"}},
		"too many": {Config{"space", 65}, []string{"workers"}},
		"by":       {Config{"session", 4}, []string{"by"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var fields []string
			c.config.Check(func(field, _, _ string) { fields = append(fields, field) })
			assert.Equal(t, c.want, fields)
		})
	}
}
