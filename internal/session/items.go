// Package session is the session state machine: numbering, epochs, acknowledgements, credit and the outbox. It has
// no I/O and starts no goroutine; the transports' stream loop and the stages drive it.
//
// The items that cross the pipeline's edges are defined here, since each belongs to a session.
package session

import (
	"time"

	"github.com/engram-stream/engram/internal/memory"
)

// Incoming is one observation or forget as it came off the wire, before any check: the item between a transport's
// source end and the decode stage.
type Incoming struct {
	From       *Attachment
	Sequence   uint64
	Received   time.Time
	EndOfFrame bool // the last item of its wire message: an acknowledgement is due here

	Observe *RawObservation // exactly one of Observe and Forget is set
	Forget  *memory.Forget
	// Malformed is set by a transport that could not translate the item; decode makes it a rejection.
	Malformed *memory.Rejection
}

// RawObservation is a wire observation in neutral form. Embedding and EmbeddingF32 are both as sent; decode demands
// exactly one. EmbeddingF32 is little-endian float32.
type RawObservation struct {
	ID           string
	Content      string
	Metadata     map[string]memory.Value
	ObservedAt   time.Time
	Confidence   *float32
	Embedding    []float32
	EmbeddingF32 []byte
}

// Op is a decoded op on its way to the journal: the item from decode to journal.
type Op struct {
	memory.Op
	From       *Attachment
	Embedder   string // the identity of what made an observation's vector from its content; empty: its client did
	EndOfFrame bool
}

// Appended is an op that the journal has appended; it is decided once Durable is done: the item from journal to index.
type Appended struct {
	Op
	Incarnation uint64 // of the space, within which the version counts
	Version     memory.Version
	Ordinal     memory.Ordinal
	Durable     memory.Durability
}

// Applied is an op that is durable and findable: the item from index to notify. Matched counts what a forget removed.
type Applied struct {
	Op
	Version memory.Version
	Matched uint64
}

// Reply is one acknowledgement on its way to its origin: everything of From's session up to Through is durable and
// findable as of Version. The item from notify to the replies sink.
type Reply struct {
	From     *Attachment
	Through  uint64
	Version  memory.Version
	Rejected []RejectedRange // the rejections within this reply, ascending
	Matched  uint64          // what the forgets within it removed
}
