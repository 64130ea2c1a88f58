package indexbench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engram-stream/engram/internal/bench/runbook"
	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func data(t *testing.T, metric memory.Metric, n int) Data {
	t.Helper()
	rows, err := vectors.Synthetic(32, n+20, 1)
	require.NoError(t, err)
	return Data{Name: "synthetic", Rows: rows.Part(0, n), Queries: rows.Part(n, n+20), Metric: metric}
}

func silent(string) {}

func TestRun(t *testing.T) {
	for _, metric := range []memory.Metric{memory.Cosine, memory.Dot, memory.L2} {
		r, err := Run(t.Context(), Config{
			Data: data(t, metric, 2000), Batch: 128, K: 10, Runs: 2, For: time.Millisecond, PerS: 1000, Say: silent,
		})
		require.NoError(t, err)
		assert.Equal(t, Set{Name: "synthetic", Count: 2000, Queries: 20, Dimension: 32, Metric: metric.String()}, r.Set)
		assert.Len(t, r.Insert.PerSecond, 2)
		assert.Positive(t, r.Insert.MedianPerSecond)
		assert.GreaterOrEqual(t, r.Recall.Right, 0.98, metric)
		assert.True(t, r.Merge.Done)
		assert.Zero(t, r.Merge.Part, "so few are scanned")
		assert.Equal(t, 20, r.Recall.Latency.N)
		assert.Positive(t, r.Busy.Latency.N)
		assert.Positive(t, r.Busy.Fills)
		assert.Equal(t, 50, r.Single.Turns)
		assert.Positive(t, r.Single.Times)
	}
}

func TestRunWithAGraph(t *testing.T) {
	r, err := Run(t.Context(), Config{
		Data: data(t, memory.Cosine, 3000), Batch: 128, K: 10, Runs: 1, Forget: 1000, For: time.Millisecond, PerS: 1000, Say: silent,
		Tune: func(settings *index.Config) { settings.GraphFrom = 1000 },
	})
	require.NoError(t, err)
	assert.True(t, r.Merge.Done)
	assert.GreaterOrEqual(t, r.Merge.Part, 1-float64(leftOver)/3000, "all but what waits for more to come")
	assert.GreaterOrEqual(t, r.Recall.Right, 0.98)
}

// TestForgetting: what is forgotten is neither found nor right, by computed answers and by a file's.
func TestForgetting(t *testing.T) {
	c := Config{Data: data(t, memory.L2, 600), Batch: 64, K: 5, Runs: 1, Forget: 400, For: time.Nanosecond, PerS: 10, Say: silent}
	r, err := Run(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, 400, r.Forget.Count)
	assert.Positive(t, r.Forget.PerSecond)
	assert.GreaterOrEqual(t, r.Recall.Right, 0.98)

	c.Known = make([][]uint32, 20)
	for q := range c.Known {
		c.Known[q] = []uint32{400, 401, 402, 403, 399}
	}
	_, err = Run(t.Context(), c)
	assert.ErrorContains(t, err, "names row 399 for query 0, which is forgotten")
}

func TestAKnownTruthIsTaken(t *testing.T) {
	c := Config{Data: data(t, memory.L2, 200), Batch: 50, K: 2, Runs: 1, For: time.Nanosecond, PerS: 10, Say: silent}
	c.Known = make([][]uint32, 20) // too short for each
	_, err := Run(t.Context(), c)
	assert.ErrorContains(t, err, "0 neighbours of query 0, and 2 are asked for")
	for q := range c.Known {
		c.Known[q] = []uint32{0, 1} // hardly anybody's nearest
	}
	r, err := Run(t.Context(), c)
	require.NoError(t, err)
	assert.Greater(t, r.Recall.Right, 0.9, "what is nearer than those is right too")
}

func TestARunThatIsBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := Config{Data: data(t, memory.L2, 2000), Batch: 1, K: 1, Runs: 1, For: time.Hour, PerS: 10}
	c.Say = func(line string) {
		if strings.HasPrefix(line, "recalling while") {
			cancel()
		}
	}
	_, err := Run(ctx, c)
	assert.ErrorIs(t, err, context.Canceled)
}

const book = `synthetic:
  max_pts: 1500
  1: {operation: insert, start: 0, end: 1000}
  2: {operation: search}
  3: {operation: delete, start: 100, end: 700}
  4: {operation: search}
  5: {operation: replace, tags_start: 0, tags_end: 100, ids_start: 1000, ids_end: 1100}
  6: {operation: insert, start: 100, end: 200}
  7: {operation: search}
  8: {operation: delete, start: 0, end: 200}
  9: {operation: delete, start: 700, end: 1000}
  10: {operation: search}
`

func TestPlay(t *testing.T) {
	b, err := runbook.Read("x.yaml", strings.NewReader(book), "")
	require.NoError(t, err)
	d := data(t, memory.L2, 1200)
	require.NoError(t, b.Check(d.Rows.Len()))
	p, err := Play(t.Context(), b, PlayConfig{Data: d, Batch: 70, K: 10, Settle: true, Rebuild: true, Say: silent})
	require.NoError(t, err)
	require.Len(t, p.Searches, 4)
	for i, want := range []struct{ step, alive, inserted, deleted int }{{2, 1000, 1000, 0}, {4, 400, 0, 600}, {7, 500, 200, 0}, {10, 0, 0, 500}} {
		s := p.Searches[i]
		assert.Equal(t, want.step, s.Step)
		assert.Equal(t, want.alive, s.Alive)
		assert.Equal(t, want.inserted, s.Inserted)
		assert.Equal(t, want.deleted, s.Deleted)
		assert.GreaterOrEqual(t, s.Right, 0.98, "step %d", s.Step)
		assert.Equal(t, 20, s.Latency.N)
	}
	assert.GreaterOrEqual(t, p.Right, p.Least)
	require.NotNil(t, p.Rebuilt)
	assert.Zero(t, p.Rebuilt.Alive)

	b.Steps = b.Steps[:7] // up to the last search that finds something
	p, err = Play(t.Context(), b, PlayConfig{Data: d, Batch: 70, K: 10, Rebuild: true, Say: silent})
	require.NoError(t, err)
	require.Len(t, p.Searches, 3)
	assert.Equal(t, 500, p.Rebuilt.Alive)
	assert.Equal(t, 500, p.Rebuilt.Inserted)
	assert.GreaterOrEqual(t, p.Rebuilt.Right, 0.98)
}

func TestHNSW(t *testing.T) {
	for _, metric := range []memory.Metric{memory.Cosine, memory.L2} {
		r, err := RunHNSW(t.Context(), HNSWConfig{
			Data: data(t, metric, 1500), K: 10, M: 16, Build: 64, Search: []int{64}, Batches: []int{100, 1000}, Workers: 2, Say: silent,
		})
		require.NoError(t, err)
		require.Len(t, r.Builds, 2)
		for _, b := range r.Builds {
			assert.Positive(t, b.PerSecond)
			assert.GreaterOrEqual(t, b.Searches[0].Right, 0.9, metric)
			assert.LessOrEqual(t, b.Searches[0].ByCodes, b.Searches[0].Right)
		}
	}
}

func TestSumUp(t *testing.T) {
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i)*time.Microsecond)
	}
	assert.Equal(t, Latency{P50: 101, P99: 199, Max: 200, N: 200}, sumUp(all))
	assert.Equal(t, Latency{}, sumUp(nil))
	assert.Equal(t, Latency{P50: 7, P99: 7, Max: 7, N: 1}, sumUp([]time.Duration{7 * time.Microsecond}))
	assert.Equal(t, 2, median([]int{3, 1, 2}))
	assert.Equal(t, 0, median([]int{}))
}
