package coalesce

import (
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// hold is what has been gathered of one lane, in the order it came. It keeps less than its limits; what reaches them
// is full and goes. One goroutine at a time.
type hold struct {
	maxItems int
	maxBytes int64

	batches []*graph.Batch[session.Op]
	items   int
	bytes   int64
	since   time.Time // when the oldest came; set while items > 0
}

// add takes a batch and returns what is full now, in order, each with at most maxItems.
func (h *hold) add(now time.Time, b *graph.Batch[session.Op]) (full []*graph.Batch[session.Op]) {
	if h.items > 0 && h.bytes+b.Bytes() > h.maxBytes {
		full = append(full, h.release())
	}
	for b.Len() > h.maxItems-h.items {
		var part *graph.Batch[session.Op]
		part, b = graph.Cut(b, h.maxItems-h.items)
		h.keep(now, part)
		full = append(full, h.release())
	}
	if b.Len() == 0 {
		return full
	}
	if h.keep(now, b); h.items == h.maxItems || h.bytes >= h.maxBytes {
		full = append(full, h.release())
	}
	return full
}

func (h *hold) keep(now time.Time, b *graph.Batch[session.Op]) {
	if h.items == 0 {
		h.since = now
	}
	h.batches = append(h.batches, b)
	h.items += b.Len()
	h.bytes += b.Bytes()
}

// release gives up everything held, as one batch.
func (h *hold) release() *graph.Batch[session.Op] {
	b := graph.Concat(h.batches...)
	clear(h.batches)
	h.batches, h.items, h.bytes = h.batches[:0], 0, 0
	return b
}
