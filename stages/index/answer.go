package index

import (
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

const (
	// maxAnswerBytes bounds the hits of one answer in memory: 10,000 of them with 4 KiB of content and 768 components fit.
	maxAnswerBytes = 96 << 20
	hitOverhead    = 256 // bytes of a hit beside its payload
	pairOverhead   = 64  // and of a metadata pair
)

// answer collects hits up to maxAnswerBytes, and takes what they weigh from its hold.
type answer struct {
	hits  []memory.Hit
	bytes int
	hold  memory.Hold // may be nil
}

// add takes a hit, or refuses it with a fault.ResourceExhausted when the answer would grow too large, or with its hold's.
func (a *answer) add(h memory.Hit) error {
	bytes := weight(&h)
	if a.hold != nil {
		if err := a.hold.Take(bytes); err != nil {
			return err
		}
	}
	a.bytes += bytes
	if a.bytes > maxAnswerBytes {
		return fault.New(fault.ResourceExhausted, "the answer has more than %d MiB after %d hits", maxAnswerBytes>>20, len(a.hits)).
			WithReason("ANSWER_TOO_LARGE").WithHint("ask for fewer hits, or leave out content and embeddings and Get what is needed")
	}
	a.hits = append(a.hits, h)
	return nil
}

// weight is what a hit holds in memory, in bytes.
func weight(h *memory.Hit) int { return hitOverhead + pairOverhead*len(h.Metadata) + h.Payload() }
