package index

import (
	"context"
	"fmt"
	"math"
	"sort"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// recall takes the snapshot before it waits for its turn: what was acked by now is seen, what comes later is not.
func (sv *server) recall(ctx context.Context, space string, q memory.Query) (memory.Result, error) {
	v, err := sv.view(space)
	if err != nil {
		return memory.Result{}, err
	}
	if err := sv.check(space, v, &q); err != nil {
		return memory.Result{}, err
	}
	result := memory.Result{Snapshot: v.version}
	if v.live == 0 {
		return result, nil
	}
	turns, err := sv.pool.begin()
	if err != nil {
		return memory.Result{}, err
	}
	defer turns.end()
	if err := sv.answer(ctx, turns, v, q, &result); err != nil {
		return memory.Result{}, err
	}
	return result, nil
}

// What one turn reads of an answer, at most: some milliseconds of work.
const (
	turnHits  = 256
	turnBytes = 1 << 20
)

// answer scans, and reads the records of what it has found, a turn's worth at a time. A small answer is done in one turn.
func (sv *server) answer(ctx context.Context, turns *recalling, v *view, q memory.Query, result *memory.Result) error {
	a := answer{hold: q.Hold}
	var candidates []fresh.Candidate
	err := turns.turn(ctx, func() (err error) {
		candidates, err = sv.scan(ctx, v, q, result)
		if err != nil {
			return err
		}
		a.hits = make([]memory.Hit, 0, len(candidates))
		return sv.hydrate(ctx, &a, candidates, q)
	})
	for err == nil && len(a.hits) < len(candidates) {
		err = turns.turn(ctx, func() error { return sv.hydrate(ctx, &a, candidates, q) })
	}
	result.Hits = a.hits
	return err
}

// scan returns the nearest, down to the least score that the query takes.
func (sv *server) scan(ctx context.Context, v *view, q memory.Query, result *memory.Result) ([]fresh.Candidate, error) {
	candidates, scanned, err := v.tier.Scan(ctx, fresh.Query{
		Vector: q.Vector, Version: uint64(v.version), K: q.Limit, Share: sv.share,
	})
	if err != nil {
		return nil, contextFault(ctx)
	}
	result.Scanned = scanned
	if q.MinScore != nil {
		candidates = candidates[:sort.Search(len(candidates), func(i int) bool { return candidates[i].Score < *q.MinScore })]
	}
	return candidates, nil
}

// hydrate reads the records of the candidates that come next, for one turn.
func (sv *server) hydrate(ctx context.Context, a *answer, candidates []fresh.Candidate, q memory.Query) error {
	until, heavy := min(len(a.hits)+turnHits, len(candidates)), a.bytes+turnBytes
	for _, c := range candidates[len(a.hits):until] {
		if ctx.Err() != nil {
			return contextFault(ctx)
		}
		op, err := readObserve(sv.index.journal, fresh.Record{Ordinal: c.Ordinal})
		if err != nil {
			return err
		}
		if err := a.add(hit(op.Observe, memory.Version(c.Birth), c.Score, q.IncludeContent, q.IncludeEmbedding)); err != nil {
			return err
		}
		if a.bytes >= heavy {
			break
		}
	}
	return nil
}

func hit(o *memory.Observation, v memory.Version, score float32, content, embedding bool) memory.Hit {
	h := memory.Hit{
		ID: o.ID, Score: score, Confidence: o.Confidence, State: memory.Fresh, Version: v,
		ObservedAt: o.ObservedAt, ReceivedAt: o.ReceivedAt,
	}
	if content {
		h.Content, h.Metadata = o.Content, o.Metadata
	}
	if embedding {
		h.Embedding = o.Vector
	}
	return h
}

// check refuses a query that can never succeed, and fills in the default limit.
func (sv *server) check(space string, v *view, q *memory.Query) error {
	if q.Limit == 0 {
		q.Limit = min(memory.DefaultLimit, sv.maxLimit)
	}
	if q.Limit < 1 || q.Limit > sv.maxLimit {
		return refuseField("limit", "%d is not within 1 to %d", q.Limit, sv.maxLimit)
	}
	if q.MinScore != nil && math.IsNaN(float64(*q.MinScore)) {
		return refuseField("min_score", "it is not a number")
	}
	dimension, cosine := sv.shape(space, v)
	return checkVector(space, q.Vector, dimension, cosine)
}

// shape returns the space's dimension, 0 if none is fixed, and whether it compares by cosine.
func (sv *server) shape(space string, v *view) (dimension int, cosine bool) {
	if v.tier != nil {
		return v.tier.Dimension(), v.tier.Metric() == fresh.Cosine
	}
	description, ok := sv.index.journal.Space(space)
	if !ok || description.Dimension == 0 {
		return 0, true // what a first observation would make it
	}
	return description.Dimension, description.Metric == memory.Cosine
}

func checkVector(space string, vector []float32, dimension int, cosine bool) error {
	if len(vector) == 0 {
		return refuseField("embedding", "it is empty").WithHint("send a vector of as many components as the space has")
	}
	if dimension != 0 && len(vector) != dimension {
		return refuseField("embedding", "the query has %d components, space %q has %d", len(vector), space, dimension).
			WithHint("embed the query with the model that the space's memories were embedded with")
	}
	zero := true
	for i, x := range vector {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return refuseField(fmt.Sprintf("embedding[%d]", i), "%v is not a finite number", x)
		}
		zero = zero && x == 0
	}
	if zero && cosine {
		return refuseField("embedding", "a zero vector has no direction to compare by cosine")
	}
	return nil
}

func refuseField(field, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithField("query." + field).WithReason("INVALID_QUERY")
}
