package transports

import (
	"context"
	"sync/atomic"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// hold is what one answer holds in memory of Limits.AnswerBytes, which bounds the answers of recalls and Gets over all
// clients until those have taken them. It implements memory.Hold. Safe for concurrent use.
type hold struct {
	all    *atomic.Int64 // held by all answers
	limit  int64
	copies int // of its bytes that are in memory at once: as hits, and encoded
	mine   atomic.Int64
}

func (s *Server) newHold(copies int) *hold {
	return &hold{all: &s.hub.answers, limit: int64(s.limits.AnswerBytes), copies: copies}
}

// Take implements memory.Hold.
func (h *hold) Take(bytes int) error {
	n := int64(bytes * h.copies)
	if alone := h.mine.Load() + n; alone > h.limit {
		return fault.New(fault.ResourceExhausted, "the answer would hold %d bytes, more than the %d that recall.answer_bytes allows for all of them",
			alone, h.limit).WithReason("ANSWER_TOO_LARGE").WithHint("ask for fewer hits, or leave out content and embeddings")
	}
	if held := h.all.Add(n); held > h.limit {
		h.all.Add(-n)
		return fault.New(fault.ResourceExhausted, "answers that clients have not taken yet hold %d of the %d bytes that recall.answer_bytes allows",
			held-n, h.limit).WithReason("ANSWERS_UNREAD").WithRetryAfter(answersRetry).
			WithHint("ask again after the time given, for fewer hits or without content")
	}
	h.mine.Add(n)
	return nil
}

// release gives everything back.
func (h *hold) release() { h.all.Add(-h.mine.Swap(0)) }

type holdKey struct{}

// holdOf returns the hold of the unary call that ctx is of; nil outside of one, where nothing bounds the answer.
func holdOf(ctx context.Context) memory.Hold {
	if h, ok := ctx.Value(holdKey{}).(*hold); ok {
		return h
	}
	return nil
}
