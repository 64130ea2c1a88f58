package index

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// opened returns a stage with the cosine space "x" of two memories, an empty space of three components by L2 and a
// space without any shape.
func opened(t *testing.T) (*Stage, *fakeJournal) {
	t.Helper()
	j := newFakeJournal()
	j.createSpace("shaped", 3, memory.L2)
	j.createSpace("shapeless", 0, 0)
	s := openStage(t, j, fixedLimits{workers: 2, queue: 8, maxLimit: 100})
	process(t, s, j.append(at("x"), durable(), observe("one", 3, 4), observe("two", 0, 2))...)
	return s, j
}

func TestRecallRefusesWhatCanNeverSucceed(t *testing.T) {
	s, _ := opened(t)
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		space string
		query memory.Query
		field string
		says  []string
	}{
		"dimension":         {"x", memory.Query{Vector: []float32{1, 2, 3}}, "query.embedding", []string{"3 components", `space "x" has 2`}},
		"declared":          {"shaped", memory.Query{Vector: []float32{1}}, "query.embedding", []string{"1 components", `"shaped" has 3`}},
		"empty":             {"x", memory.Query{}, "query.embedding", []string{"empty"}},
		"nothing to ask":    {"shapeless", memory.Query{}, "query.embedding", []string{"empty"}},
		"not a number":      {"x", memory.Query{Vector: []float32{1, nan}}, "query.embedding[1]", []string{"NaN"}},
		"infinite":          {"x", memory.Query{Vector: []float32{float32(math.Inf(-1)), 1}}, "query.embedding[0]", []string{"-Inf"}},
		"zero":              {"x", memory.Query{Vector: []float32{0, 0}}, "query.embedding", []string{"zero vector", "cosine"}},
		"limit":             {"x", memory.Query{Vector: []float32{1, 2}, Limit: 101}, "query.limit", []string{"101", "1 to 100"}},
		"negative":          {"x", memory.Query{Vector: []float32{1, 2}, Limit: -1}, "query.limit", []string{"-1"}},
		"least not a score": {"x", memory.Query{Vector: []float32{1, 2}, MinScore: &nan}, "query.min_score", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.service.Recall(context.Background(), c.space, c.query)
			f := fault.As(err)
			require.NotNil(t, f)
			require.Equal(t, fault.InvalidArgument, f.Kind)
			require.Equal(t, c.field, f.Field)
			require.Equal(t, "recall", f.Op)
			for _, part := range append(c.says, c.space) {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestSpacesWithoutMemoriesAnswerEmpty(t *testing.T) {
	s, _ := opened(t)
	ctx := context.Background()
	for space, vector := range map[string][]float32{"shaped": {0, 0, 0}, "shapeless": {1, 2}} {
		result, err := s.service.Recall(ctx, space, memory.Query{Vector: vector})
		require.NoError(t, err)
		require.Equal(t, memory.Result{}, result)
		found, missing, err := s.service.Get(ctx, space, []string{"a"}, false, nil)
		require.NoError(t, err)
		require.Empty(t, found)
		require.Equal(t, []string{"a"}, missing)
	}
}

func TestAnUnknownSpaceIsNotFound(t *testing.T) {
	s, _ := opened(t)
	ctx := context.Background()
	_, recall := s.service.Recall(ctx, "nowhere", memory.Query{Vector: []float32{1}})
	_, _, get := s.service.Get(ctx, "nowhere", []string{"a"}, false, nil)
	_, match := s.service.Match(ctx, "nowhere", forget("a").Forget)
	for _, err := range []error{recall, get, match, s.service.WaitPublished(ctx, "nowhere", 1)} {
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		require.ErrorContains(t, err, `space "nowhere"`)
		require.NotEmpty(t, fault.As(err).Hint)
	}
	require.Zero(t, alive(s, "nowhere"))
	require.Zero(t, s.service.Published("nowhere"))
	require.Nil(t, s.index.space("nowhere"), "asking makes nothing")
}

func TestHitsCarryWhatWasAskedFor(t *testing.T) {
	s, _ := opened(t)
	ctx := context.Background()
	bare, err := s.service.Recall(ctx, "x", memory.Query{Vector: []float32{30, 40}})
	require.NoError(t, err)
	require.Equal(t, memory.Result{Snapshot: 2, Scanned: 2, Hits: []memory.Hit{
		{ID: "one", Score: 1, Confidence: 1, State: memory.Fresh, Version: 1},
		{ID: "two", Score: 0.8, Confidence: 1, State: memory.Fresh, Version: 2},
	}}, bare)
	full, err := s.service.Recall(ctx, "x", memory.Query{Vector: []float32{30, 40}, Limit: 1, IncludeContent: true, IncludeEmbedding: true})
	require.NoError(t, err)
	require.Len(t, full.Hits, 1)
	require.Equal(t, "content of one", full.Hits[0].Content)
	require.Equal(t, map[string]memory.Value{"n": int64(3)}, full.Hits[0].Metadata)
	require.Equal(t, []float32{3, 4}, full.Hits[0].Embedding)

	found, missing, err := s.service.Get(ctx, "x", []string{"two", "none", "one", "two"}, true, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"two", "one", "two"}, ids(found))
	require.Equal(t, []string{"none"}, missing)
	require.Equal(t, memory.Hit{
		ID: "two", Confidence: 1, State: memory.Fresh, Version: 2, Content: "content of two",
		Metadata: map[string]memory.Value{"n": int64(3)}, Embedding: []float32{0, 2},
	}, found[0])
	matched, err := s.service.Match(ctx, "x", forget("two", "none", "two").Forget)
	require.NoError(t, err)
	require.Equal(t, uint64(1), matched)
}

func TestTheDefaultLimit(t *testing.T) {
	s, j := opened(t)
	for i := range 20 {
		process(t, s, j.append(at("x"), durable(), observe(numbered(i), 1, float32(i)))...)
	}
	result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 1}})
	require.NoError(t, err)
	require.Len(t, result.Hits, memory.DefaultLimit)
	require.Equal(t, 22, result.Scanned)
}

func TestADamagedRecordFailsTheRecallNotTheSpace(t *testing.T) {
	s, j := opened(t)
	j.failReads(func(o memory.Ordinal) error {
		if o == 2 {
			return fault.New(fault.Corrupt, "item with ordinal 2 fails its checksum")
		}
		return nil
	})
	ctx := context.Background()
	_, err := s.service.Recall(ctx, "x", memory.Query{Vector: []float32{1, 1}})
	require.Equal(t, fault.Corrupt, fault.KindOf(err))
	result, err := s.service.Recall(ctx, "x", memory.Query{Vector: []float32{3, 4}, Limit: 1})
	require.NoError(t, err, "it is a candidate, and no hit")
	require.Equal(t, []string{"one"}, ids(result.Hits))
	_, err = s.service.Recall(ctx, "x", memory.Query{Vector: []float32{3, 4}, Limit: 1, Exact: true})
	require.Equal(t, fault.Corrupt, fault.KindOf(err), "what is not read is not compared")
}

// TestScoresAreThoseOfTheVectors: in a space so large that candidates are found by codes alone, hits have the scores of
// their vectors, in that order, and an exact recall is the truth.
func TestScoresAreThoseOfTheVectors(t *testing.T) {
	const n, dimension, limit = 5000, 24, 10
	j := newFakeJournal()
	j.createSpace("x", dimension, memory.L2)
	s := openStage(t, j, roomy)
	r := rand.New(rand.NewPCG(1, 2))
	random := func() []float32 {
		v := make([]float32, dimension)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	ops := make([]memory.Op, n)
	for i := range ops {
		ops[i] = observe(numbered(i), random()...)
	}
	process(t, s, j.append(at("x"), durable(), ops...)...)
	process(t, s, j.append(at("x"), durable(), forget(numbered(7)))...)
	found := 0
	for range 20 {
		query := random()
		score := fresh.L2.NewExact(query)
		best := make([]float32, 0, n)
		for i := range ops {
			if i != 7 {
				best = append(best, score.Score(ops[i].Observe.Vector))
			}
		}
		slices.SortFunc(best, func(a, b float32) int { return cmp.Compare(b, a) })
		least := best[limit/2]
		for _, exact := range []bool{false, true} {
			q := memory.Query{Vector: query, Limit: limit, IncludeEmbedding: true, Exact: exact}
			result, err := s.service.Recall(context.Background(), "x", q)
			require.NoError(t, err)
			require.Len(t, result.Hits, limit)
			for i, h := range result.Hits {
				require.Equal(t, score.Score(h.Embedding), h.Score)
				require.True(t, i == 0 || result.Hits[i-1].Score >= h.Score)
				if exact {
					require.Equal(t, best[i], h.Score)
				} else if h.Score >= best[limit-1] {
					found++
				}
			}
			q.MinScore = &least
			result, err = s.service.Recall(context.Background(), "x", q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(result.Hits), limit/2+1)
			require.NotEmpty(t, result.Hits)
		}
	}
	require.Greater(t, found, 190, "of 200")
}

// A recall that had to wait for its turn answers as of when it was called.
func TestTheSnapshotIsTakenBeforeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := opened(t)
		pool := s.service.opened.Load().pool
		release := make(chan struct{})
		for range pool.workers {
			go func() { _ = once(context.Background(), pool, func() error { <-release; return nil }) }()
		}
		synctest.Wait()
		answered := make(chan memory.Result)
		go func() {
			result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{3, 4}})
			if err != nil {
				t.Error(err)
			}
			answered <- result
		}()
		synctest.Wait() // it waits
		process(t, s, j.append(at("x"), durable(), observe("three", 3, 4), forget("one"))...)
		close(release)
		result := <-answered
		require.Equal(t, memory.Version(2), result.Snapshot)
		require.Equal(t, []string{"one", "two"}, ids(result.Hits))
		result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{3, 4}})
		require.NoError(t, err)
		require.Equal(t, []string{"three", "two"}, ids(result.Hits))
	})
}

func TestWaitPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := opened(t)
		ctx := context.Background()
		require.NoError(t, s.service.WaitPublished(ctx, "nowhere", 0), "before everything")
		require.NoError(t, s.service.WaitPublished(ctx, "x", 2))
		waited := make(chan error, 3)
		for _, v := range []memory.Version{3, 3, 4} {
			go func() { waited <- s.service.WaitPublished(ctx, "x", v) }()
		}
		synctest.Wait()
		require.Empty(t, waited)
		process(t, s, j.append(at("x"), durable(), rejected())...)
		synctest.Wait()
		require.Len(t, waited, 2, "the third waits for one more")
		process(t, s, j.append(at("x"), durable(), forget("one"))...)
		for range 3 {
			require.NoError(t, <-waited)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.Equal(t, fault.DeadlineExceeded, fault.KindOf(s.service.WaitPublished(short, "shaped", 1)))
	})
}

// A waiter that misses the one publication it waits for would wait for ever. Each window between two steps, of either
// side, gets the other side's steps.
func TestNoPublicationIsMissed(t *testing.T) {
	for _, publisherPauses := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sp := newSpace("x", 1, writer{version: 1})
			waited := make(chan error)
			if publisherPauses {
				go func() { waited <- sp.wait(t.Context(), 1) }()
				synctest.Wait()
				var paused atomic.Bool
				sp.window = func() {
					if paused.CompareAndSwap(false, true) { // not for the waiter's own windows
						synctest.Wait() // the waiter goes as far as it can
						paused.Store(false)
					}
				}
				sp.publish()
			} else {
				sp.window = func() {
					sp.window = nil
					sp.publish()
				}
				go func() { waited <- sp.wait(t.Context(), 1) }()
			}
			synctest.Wait()
			select {
			case err := <-waited:
				require.NoError(t, err)
			default:
				t.Error("missed")
			}
		})
	}
}

func TestNothingIsServedBeforeOpen(t *testing.T) {
	s := newStage(plain, nil, graph.NewHandle[Journal](newFakeJournal()), graph.NewHandle[Limits](roomy), nowhere)
	ctx := context.Background()
	_, recall := s.service.Recall(ctx, "x", memory.Query{})
	_, _, get := s.service.Get(ctx, "x", nil, false, nil)
	_, match := s.service.Match(ctx, "x", forget("a").Forget)
	for _, err := range []error{recall, get, match, s.service.WaitPublished(ctx, "x", 1)} {
		require.Equal(t, fault.Unavailable, fault.KindOf(err))
	}
	require.Zero(t, s.service.Published("x"))
	require.Equal(t, []any{s.service}, s.Exports())
}

// The kind is registered with the types of its edges and asks for exactly its two services.
func TestRegister(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	kind := r.Lookup(graph.RoleStage, "index")
	require.NotNil(t, kind)
	require.True(t, kind.Doc.Traits.Ordered)
	require.True(t, strings.HasSuffix(kind.In.String(), "Appended"))
	require.True(t, strings.HasSuffix(kind.Out.String(), "Applied"))
}

// However many hits with however much content are asked for: an answer has a bound.
func TestAnAnswerIsBoundedInBytes(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, fixedLimits{workers: 2, queue: 8, maxLimit: 1000})
	large := strings.Repeat("x", memory.MaxContent)
	var ids []string
	for i := range maxAnswerBytes/memory.MaxContent + 1 {
		op := observe(strconv.Itoa(i), 1, float32(i))
		op.Observe.Content = large
		ids = append(ids, op.Observe.ID)
		process(t, s, j.append(at("x"), durable(), op)...)
	}
	q := memory.Query{Vector: []float32{1, 1}, Limit: len(ids)}
	result, err := s.service.Recall(t.Context(), "x", q)
	require.NoError(t, err)
	require.Len(t, result.Hits, len(ids), "without content they fit")
	q.IncludeContent = true
	_, err = s.service.Recall(t.Context(), "x", q)
	require.Equal(t, "ANSWER_TOO_LARGE", fault.As(err).Reason)
	_, _, err = s.service.Get(t.Context(), "x", ids, false, nil)
	require.Equal(t, "ANSWER_TOO_LARGE", fault.As(err).Reason)
	found, _, err := s.service.Get(t.Context(), "x", ids[:3], false, nil)
	require.NoError(t, err)
	require.Len(t, found, 3)
}
