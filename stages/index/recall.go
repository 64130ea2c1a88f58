package index

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// recall takes the snapshot before it waits for its turn: what was acked by now is seen, what comes later is not.
func (sv *server) recall(ctx context.Context, space string, q memory.Query) (memory.Result, error) {
	stay := sv.enter(space)
	defer stay.leave()
	v, err := sv.peek(stay.space, space)
	if err != nil {
		return memory.Result{}, err
	}
	if err := sv.check(space, v, &q); err != nil {
		return memory.Result{}, err
	}
	if v.live == 0 {
		return memory.Result{Snapshot: v.version}, nil
	}
	if v, err = sv.load(ctx, stay.space); err != nil {
		return memory.Result{}, err
	}
	result := memory.Result{Snapshot: v.version}
	turns, err := sv.pool.begin()
	if err != nil {
		return memory.Result{}, err
	}
	defer turns.end()
	if err := sv.answer(ctx, turns, &search{sv: sv, v: v, q: q, stay: stay}, &result); err != nil {
		return memory.Result{}, err
	}
	return result, nil
}

// What one turn reads of the journal, at most: some milliseconds of work.
const (
	turnReads = 256
	turnBytes = 1 << 20
)

// Codes tell which memories are near, their vectors in the journal which are nearest. So many more than asked for are
// compared at full precision: as many again, up to a bound, and a few.
const (
	rescoreMore = 12
	rescoreMost = 128
)

// answer finds, compares and reads what it has found, a turn's worth at a time. A small answer is done in one turn.
func (sv *server) answer(ctx context.Context, turns *recalling, s *search, result *memory.Result) error {
	s.exact, s.answer.hold = s.v.tier.Metric().NewExact(s.q.Vector), s.q.Hold
	for {
		err := turns.turn(ctx, func() error { return s.step(ctx) })
		if err != nil || s.done() {
			result.Hits, result.Scanned, result.Graphed = s.answer.hits, s.scanned, min(s.covered.version, s.v.version)
			return err
		}
	}
}

// stay is a reader's among those of a space, from before it loads the view until it has its candidates.
type stay struct {
	space *space // nil: it has left, or there is none
	epoch uint64
}

func (sv *server) enter(space string) *stay {
	sp := sv.index.space(space)
	if sp == nil {
		return &stay{}
	}
	return &stay{space: sp, epoch: sp.epochs.Enter()}
}

// leave ends it, once.
func (s *stay) leave() {
	if s.space != nil {
		s.space.epochs.Leave(s.epoch)
		s.space = nil
	}
}

// search is a recall under way: it finds candidates, compares them at full precision, and reads the best.
type search struct {
	sv    *server
	v     *view
	q     memory.Query
	stay  *stay
	exact *fresh.Exact

	scanned    int
	covered    coverage // by the graph, when it was searched
	candidates []fresh.Candidate
	next       fresh.Slot // of an exact search: the slots before it are compared
	found      bool       // no more candidates will come
	rescored   int        // of the candidates, whose score is that of their vectors
	ordered    bool       // all are, and they are the best, in order
	reads      int        // in this turn
	answer     answer
}

func (s *search) done() bool { return s.ordered && len(s.answer.hits) == len(s.candidates) }

// step is a turn's worth of the search.
func (s *search) step(ctx context.Context) error {
	s.reads = 0
	if !s.ordered {
		if err := s.look(ctx); err != nil {
			return err
		}
		if err := s.rescore(ctx); err != nil || s.rescored < len(s.candidates) {
			return err
		}
		if s.order(); !s.ordered { // more will come, in another turn: there may be no end of slots that are dead
			return nil
		}
	}
	return s.hydrate(ctx)
}

// look finds candidates: all at once, or of an exact search some.
func (s *search) look(ctx context.Context) (err error) {
	switch {
	case s.found:
	case s.q.Exact:
		var more []fresh.Candidate
		more, s.next, s.found = s.v.tier.Visible(s.next, turnReads, uint64(s.v.version))
		s.candidates, s.scanned = append(s.candidates, more...), s.scanned+len(more)
	default:
		s.found = true
		err = s.nearest(ctx)
		s.stay.leave()
	}
	if err != nil {
		return contextFault(ctx)
	}
	return nil
}

// nearest finds candidates by their codes: in the graph, and in what it has not taken over yet.
func (s *search) nearest(ctx context.Context) (err error) {
	k := s.q.Limit + min(s.q.Limit, rescoreMost) + rescoreMore
	s.covered = *s.v.merged.coverage.Load()
	s.candidates, s.scanned, err = s.v.tier.Scan(ctx, fresh.Query{
		Vector: s.q.Vector, Version: uint64(s.v.version), Share: s.sv.share, K: k, From: s.covered.through,
	})
	if err != nil || s.covered.graph == nil {
		return err
	}
	walked, compared := s.v.merged.walk(&s.covered, s.q.Vector, s.v.version, k, max(s.v.merged.ef(&s.covered, k), s.q.Ef))
	s.scanned += compared
	for _, c := range walked {
		if c.Slot < s.covered.through { // or it is being taken over, and the scan has it
			s.candidates = append(s.candidates, c)
		}
	}
	slices.SortFunc(s.candidates, fresh.Compare)
	s.candidates = s.candidates[:min(k, len(s.candidates))]
	return nil
}

// rescore gives the candidates the scores of their vectors.
func (s *search) rescore(ctx context.Context) error {
	if !s.sv.rescore && !s.q.Exact {
		s.rescored = len(s.candidates)
	}
	for s.rescored < len(s.candidates) && s.reads < turnReads {
		if ctx.Err() != nil {
			return contextFault(ctx)
		}
		c := &s.candidates[s.rescored]
		op, err := readObserve(s.sv.index.journal, fresh.Record{Ordinal: c.Ordinal})
		if fault.KindOf(err) == fault.Corrupt && !s.q.Exact { // the code's score will do, unless it is one of the best
			s.rescored++
			continue
		}
		if err != nil {
			return err
		}
		if len(op.Observe.Vector) != len(s.q.Vector) {
			return fault.New(fault.Corrupt, "record %d of the journal has a vector of %d components, and its space of %d",
				c.Ordinal, len(op.Observe.Vector), len(s.q.Vector))
		}
		c.Score = s.exact.Score(op.Observe.Vector)
		s.rescored++
		s.reads++
	}
	return nil
}

// order keeps the best of what is compared, down to the least score that the query takes.
func (s *search) order() {
	slices.SortFunc(s.candidates, fresh.Compare)
	s.candidates = s.candidates[:min(len(s.candidates), s.q.Limit)]
	s.rescored = len(s.candidates)
	if s.ordered = s.found; s.ordered && s.q.MinScore != nil {
		s.candidates = s.candidates[:sort.Search(len(s.candidates), func(i int) bool { return s.candidates[i].Score < *s.q.MinScore })]
	}
}

// hydrate reads the records of the candidates that come next, as far as the turn goes.
func (s *search) hydrate(ctx context.Context) error {
	heavy := s.answer.bytes + turnBytes
	for ; s.reads < turnReads && !s.done() && s.answer.bytes < heavy; s.reads++ {
		if ctx.Err() != nil {
			return contextFault(ctx)
		}
		c := s.candidates[len(s.answer.hits)]
		op, err := readObserve(s.sv.index.journal, fresh.Record{Ordinal: c.Ordinal})
		if err != nil {
			return err
		}
		h := hit(op.Observe, memory.Version(c.Birth), c.Score, s.q.IncludeContent, s.q.IncludeEmbedding)
		if c.Slot < s.covered.through {
			h.State = memory.Graphed
		}
		if err := s.answer.add(h); err != nil {
			return err
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
