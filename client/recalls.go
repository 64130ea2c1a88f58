package client

import (
	"cmp"
	"slices"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// recalls are the recalls of one session: waiting to be sent, or at work on the stream. Each has a caller that waits for
// it, so there are as many as callers. A pure state machine without a lock: the Session guards it.
type recalls struct {
	lastID  uint64
	limit   int // at work at once
	waiting []*recallCall
	working map[uint64]*recallCall // by id; nil: given up, but at work at the server until it says done
	cancels []uint64               // sent, and no longer wanted
}

// recallCall is one recall and what has come of it. done is closed when answer or err is set for good.
type recallCall struct {
	id     uint64
	query  *engramv1.RecallQuery
	answer Recall
	err    error
	done   chan struct{}
}

func (r *recalls) add(q *engramv1.RecallQuery) *recallCall {
	r.lastID++
	call := &recallCall{id: r.lastID, query: q, done: make(chan struct{})}
	r.waiting = append(r.waiting, call)
	return call
}

// idle reports whether nobody waits for a recall.
func (r *recalls) idle() bool { return len(r.waiting) == 0 && len(r.wanted()) == 0 }

// wanted returns the recalls at work that somebody waits for, in their order.
func (r *recalls) wanted() []*recallCall {
	calls := make([]*recallCall, 0, len(r.working))
	for _, call := range r.working {
		if call != nil {
			calls = append(calls, call)
		}
	}
	slices.SortFunc(calls, func(a, b *recallCall) int { return cmp.Compare(a.id, b.id) })
	return calls
}

// frame returns the next thing to send about recalls, or nil.
func (r *recalls) frame() *engramv1.MemoryFlowRequest {
	if len(r.cancels) > 0 {
		id := r.cancels[0]
		r.cancels = r.cancels[1:]
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Cancel{Cancel: &engramv1.CancelRecall{RecallId: id}}}
	}
	if len(r.waiting) == 0 || len(r.working) >= r.limit {
		return nil
	}
	call := r.waiting[0]
	r.waiting = slices.Delete(r.waiting, 0, 1)
	if r.working == nil {
		r.working = make(map[uint64]*recallCall)
	}
	r.working[call.id] = call
	return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Recall{
		Recall: &engramv1.RecallOp{RecallId: call.id, Query: call.query},
	}}
}

// drop forgets a recall whose caller gave up. One at work keeps its place until the server has ended it: another in its
// place might be one too many there.
func (r *recalls) drop(call *recallCall) {
	if r.working[call.id] != nil {
		r.working[call.id] = nil
		r.cancels = append(r.cancels, call.id)
		return
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(c *recallCall) bool { return c == call })
}

// detach puts what was at work back in line, in its order: a recall only reads, so asking again does no harm.
func (r *recalls) detach() {
	again := r.wanted()
	for _, call := range again {
		call.answer = Recall{}
	}
	r.waiting = append(again, r.waiting...)
	r.working, r.cancels = nil, nil
}

// started, chunk and done take what the server says about a recall; one that is unknown was cancelled.
func (r *recalls) started(m *engramv1.RecallStarted) {
	if call := r.working[m.GetRecallId()]; call != nil {
		call.answer.Version, call.answer.GraphedVersion = m.GetSnapshotVersion(), m.GetGraphedVersion()
		call.answer.Embedder = m.GetEmbedder()
	}
}

func (r *recalls) chunk(m *engramv1.RecallChunk) {
	if call := r.working[m.GetRecallId()]; call != nil {
		call.answer.Hits = decodeHits(call.answer.Hits, m.GetHits())
	}
}

func (r *recalls) done(m *engramv1.RecallDone) {
	call := r.working[m.GetRecallId()]
	delete(r.working, m.GetRecallId())
	if call == nil {
		return
	}
	if m.GetCode() != 0 {
		call.err = recallFailure(m)
	} else if order := m.GetFinalOrder(); len(order) > 0 {
		call.answer.Hits = reorder(call.answer.Hits, order)
	}
	close(call.done)
}

// fail ends all recalls with err.
func (r *recalls) fail(err error) {
	r.detach()
	for _, call := range r.waiting {
		call.err = err
		close(call.done)
	}
	r.waiting = nil
}

func recallFailure(m *engramv1.RecallDone) *Error {
	var retry time.Duration
	if m.GetRetryAfter() != nil {
		retry = m.GetRetryAfter().AsDuration()
	}
	return &Error{Op: "recall", Code: connect.Code(m.GetCode()), Reason: m.GetErrorReason(), Message: m.GetReason(), RetryAfter: retry}
}

// reorder ranks hits by the final order of their ids; hits that are not in it were provisional and are left out.
func reorder(hits []Hit, order []string) []Hit {
	byID := make(map[string]Hit, len(hits))
	for _, h := range hits {
		byID[h.ID] = h
	}
	ranked := make([]Hit, 0, len(order))
	for _, id := range order {
		if h, ok := byID[id]; ok {
			ranked = append(ranked, h)
		}
	}
	return ranked
}
