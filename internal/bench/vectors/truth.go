package vectors

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/sourcegraph/conc"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/simd"
)

// Scorer says how near rows are to queries: the higher the nearer. Its scores rank as the index's do, and are not the same
// numbers. Safe for concurrent use.
type Scorer struct {
	metric memory.Metric
	rows   *Rows
	norms  []float32 // of the rows, for cosine
}

// NewScorer returns the scorer of rows by a metric.
func NewScorer(metric memory.Metric, rows *Rows) *Scorer {
	s := &Scorer{metric: metric, rows: rows}
	if metric == memory.Cosine {
		s.norms = make([]float32, rows.Len())
		each(rows.Len(), func(i int) { s.norms[i] = float32(length(rows.Row(i))) })
	}
	return s
}

// Score compares a query with row i.
func (s *Scorer) Score(query []float32, i int) float32 {
	row := s.rows.Row(i)
	switch {
	case s.metric == memory.L2:
		return -simd.SquaredL2(query, row)
	case s.metric == memory.Cosine && s.norms[i] > 0:
		return simd.Dot(query, row) / s.norms[i]
	}
	return simd.Dot(query, row)
}

// Truth says what the right answers to queries are: those that score at least as high as the k-th nearest does. So of equally
// near ones any is right.
type Truth struct {
	K     int // of fewer rows, as many as there are
	least []float32
}

// queriesAtOnce is how many queries a row is compared with while it is in the cache.
const queriesAtOnce = 32

// Exact compares every query with every row of among, on all cores; a nil among is all rows.
func (s *Scorer) Exact(ctx context.Context, queries *Rows, among []uint32, k int) (*Truth, error) {
	return s.exact(ctx, queries, among, nil, k)
}

// ExactOf is Exact where each query asks for rows of its own: those that keep is true for. It is an error if that are fewer
// than k. keep is called concurrently.
func (s *Scorer) ExactOf(ctx context.Context, queries *Rows, keep func(query int, row uint32) bool, k int) (*Truth, error) {
	return s.exact(ctx, queries, nil, keep, k)
}

func (s *Scorer) exact(ctx context.Context, queries *Rows, among []uint32, keep func(query int, row uint32) bool, k int) (*Truth, error) {
	n := s.rows.Len()
	if among != nil {
		n = len(among)
	}
	t := &Truth{K: min(k, n), least: make([]float32, queries.Len())}
	if t.K == 0 {
		return t, nil
	}
	var short atomic.Int64 // a query that too few are kept for, +1
	groups := (queries.Len() + queriesAtOnce - 1) / queriesAtOnce
	each(groups, func(g int) {
		if ctx.Err() != nil {
			return
		}
		from, to := g*queriesAtOnce, min((g+1)*queriesAtOnce, queries.Len())
		best := make([]top, to-from)
		for i := range best {
			best[i].most = t.K
		}
		for at := range n {
			row := at
			if among != nil {
				row = int(among[at])
			}
			for q := range best {
				if keep == nil || keep(from+q, uint32(row)) {
					best[q].add(s.Score(queries.Row(from+q), row))
				}
			}
		}
		for q := range best {
			if len(best[q].scores) < t.K {
				short.Store(int64(from + q + 1))
				return
			}
			t.least[from+q] = best[q].least()
		}
	})
	if ctx.Err() != nil {
		return nil, fault.GaveUp(ctx.Err(), "").WithOp("compare with all vectors")
	}
	if q := short.Load(); q > 0 {
		return nil, fault.New(fault.InvalidArgument, "the filter leaves fewer than %d vectors to query %d", t.K, q-1).WithHint("ask for fewer")
	}
	return t, nil
}

// Known returns the truth that a file of neighbours tells, one line a query.
func (s *Scorer) Known(queries *Rows, neighbours [][]uint32, k int) (*Truth, error) {
	if len(neighbours) < queries.Len() {
		return nil, fmt.Errorf("the ground truth has %d answers, and there are %d queries", len(neighbours), queries.Len())
	}
	t := &Truth{K: k, least: make([]float32, queries.Len())}
	for q := range t.least {
		if len(neighbours[q]) < k {
			return nil, fmt.Errorf("the ground truth has %d neighbours of query %d, and %d are asked for", len(neighbours[q]), q, k)
		}
		t.least[q] = float32(math.Inf(1))
		for _, row := range neighbours[q][:k] {
			if int(row) >= s.rows.Len() {
				return nil, fmt.Errorf("the ground truth names row %d of %d for query %d: it belongs to another, or a larger, data set", row, s.rows.Len(), q)
			}
			t.least[q] = min(t.least[q], s.Score(queries.Row(q), int(row)))
		}
	}
	return t, nil
}

// Right reports whether a row that scores so is among the k nearest to query q.
func (t *Truth) Right(q int, score float32) bool { return score >= t.least[q] }

// top keeps the highest of scores, ascending.
type top struct {
	most   int
	scores []float32
}

func (t *top) add(score float32) {
	if len(t.scores) == t.most {
		if score <= t.scores[0] {
			return
		}
		t.scores = t.scores[:copy(t.scores, t.scores[1:])]
	}
	at, _ := slices.BinarySearch(t.scores, score)
	t.scores = slices.Insert(t.scores, at, score)
}

func (t *top) least() float32 { return t.scores[0] }

func length(v []float32) float64 { return math.Sqrt(simd.SquaredNorm(v)) }

// Each calls fn with the number of each row, on all cores.
func (r *Rows) Each(fn func(i int)) { each(r.Len(), fn) }

// each calls fn for 0 to n-1 on all cores, some in a row on one.
func each(n int, fn func(i int)) {
	const inARow = 16
	var next atomic.Int64
	var group conc.WaitGroup
	run := inARow
	if n < inARow*runtime.GOMAXPROCS(0)*4 {
		run = 1
	}
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				from := int(next.Add(int64(run))) - run
				if from >= n {
					return
				}
				for i := from; i < min(n, from+run); i++ {
					fn(i)
				}
			}
		})
	}
	group.Wait()
}
