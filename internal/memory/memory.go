// Package memory holds the words of engram's domain: spaces, observations, ops, versions, queries, hits.
//
// They are plain values without I/O, locks or wire types; every layer speaks them. Vectors are float32, with as many
// components as the space's dimension. Slices and maps in these values are read-only once handed on.
package memory

import (
	"context"
	"time"
)

// Limits of the domain. The wire schema states the same numbers.
const (
	MaxDimension     = 4096
	MaxSpaceName     = 64
	MaxMemoryID      = 128     // bytes
	MaxContent       = 1 << 20 // bytes
	MaxMetadataPairs = 64
	MaxMetadataValue = 4096 // bytes of a string value
	MaxMetadataKey   = 128  // bytes
	MaxBatch         = 1024 // observations in one message
	MaxForgetIDs     = 10000
	MaxRecallLimit   = 10000
	MaxEmbedder      = 200 // bytes of an embedder's identity
	DefaultLimit     = 10
)

// Version orders the ops of one space: each op takes the next number, from 1. 0 is "before everything". A
// snapshot at version S holds every op with a version <= S.
type Version uint64

// Ordinal is the stable address of one op's payload in the journal, counted over the whole log from 1.
type Ordinal uint64

// Metric is how two vectors are compared.
type Metric uint8

// The metrics. Scores are "higher is better" for each: cosine in [-1, 1]; dot product; for L2 the negated
// Euclidean distance.
const (
	Cosine Metric = 1
	Dot    Metric = 2
	L2     Metric = 3
)

// String returns the metric's name: "cosine", "dot" or "l2".
func (m Metric) String() string {
	switch m {
	case Cosine:
		return "cosine"
	case Dot:
		return "dot"
	case L2:
		return "l2"
	}
	return "unknown"
}

// Space describes a memory space. Dimension 0 means that no observation has fixed it yet, nor its embedder.
type Space struct {
	Name        string
	Incarnation uint64 // tells a space from a deleted one of the same name
	Dimension   int
	Metric      Metric
	Embedder    string // the identity of what turns text into vectors here; empty: vectors come from clients
	CreatedAt   time.Time
	Committed   Version // the last durable version
	Settled     bool    // dimension, metric and embedder are durable, and so never change
}

// Value is one metadata value: string, int64, float64 or bool.
type Value any

// Observation is one thing to remember.
type Observation struct {
	ID         string // memory_id; never empty once decoded
	Content    string
	Metadata   map[string]Value
	ObservedAt time.Time // zero: not given
	ReceivedAt time.Time // the server's clock
	Confidence float32   // in [0, 1]; 1 when not given
	Vector     []float32 // length = the space's dimension
}

// At returns when it happened: ObservedAt, or ReceivedAt where that is not given.
func (o *Observation) At() time.Time {
	if o.ObservedAt.IsZero() {
		return o.ReceivedAt
	}
	return o.ObservedAt
}

// Forget names memories to forget: those that all of what is given agrees on, with a version below its own.
type Forget struct {
	IDs            []string  // empty: not given
	ObservedBefore time.Time // those that happened earlier; zero: not given
	ReceivedAt     time.Time // the server's clock
}

// Rejection says why an op was refused for good. Its sequence number is consumed.
type Rejection struct {
	Code   uint32 // google.rpc.Code
	Reason string
	Field  string
}

// OpKind tells what an op does.
type OpKind uint8

// The kinds of ops. A Rejected op is stored too, so that its number stays consumed after a restart.
const (
	OpObserve  OpKind = 1
	OpForget   OpKind = 2
	OpRejected OpKind = 3
)

// Op is one numbered step of a session; exactly one of the pointers is set, as Kind says.
type Op struct {
	Kind      OpKind
	Sequence  uint64 // within the session, from 1, contiguous
	Observe   *Observation
	Forget    *Forget
	Rejection *Rejection
}

// Durability is the fate of an append: Done is closed when it is decided, Err is then nil if the bytes are durable.
// Safe for concurrent use.
type Durability interface {
	Done() <-chan struct{}
	Err() error
}

// Query asks a space for the memories nearest to a vector.
type Query struct {
	Vector           []float32
	Text             string // instead of a vector, while it has none: to be embedded before the index is asked
	Limit            int    // 1..MaxRecallLimit
	MinScore         *float32
	Ef               int  // how many of the nearest a walk through the graph keeps, at least; 0: as many as the index takes to be enough
	Exact            bool // compare every vector at full precision, in the journal
	IncludeContent   bool
	IncludeEmbedding bool
	Hold             Hold // what the answer takes up is taken from it; nil: from nothing
}

// Hold is room in memory for one answer, until its client has taken it. Safe for concurrent use.
type Hold interface {
	// Take takes so many bytes more. An error says that there is no room now, and when to try again.
	Take(bytes int) error
}

// EventKind is what happened in a space.
type EventKind uint8

// The kinds of events.
const (
	Stored    EventKind = 1 // memories were committed
	Forgotten EventKind = 2 // memories were forgotten
)

// Event is something that happened in a space, and is published.
type Event struct {
	Kind    EventKind
	Version Version // that of the last of several memories stored
	IDs     []string
	At      time.Time // when the server received the last of them, or the forget
	More    bool      // the same forget goes on in the next event
}

// Cursor is a place among the events of a space: behind everything up to Version, and behind so many memories of the
// forget that comes next.
type Cursor struct {
	Version Version
	Told    int
}

// Feed is what happened, and happens, in one incarnation of a space. Safe for concurrent use.
type Feed interface {
	Incarnation() uint64
	// Published returns the version up to which Read has events now.
	Published() Version
	// Graphed returns the version up to which the space's graph is searched, as far as it is published; 0: it has none.
	Graphed() Version
	// Read returns events of the wanted kinds that come next, in version order, and the place behind them. It reads a bounded
	// number: there may be more, and there may be none on the way to a later place. An error says that the space is deleted,
	// degraded or damaged, or that ctx ended while it was loaded.
	Read(ctx context.Context, at Cursor, wanted func(EventKind) bool) (events []Event, next Cursor, err error)
	// Wait returns once a version is published, the space is deleted or degraded, or ctx ends.
	Wait(ctx context.Context, v Version) error
}

// HitState says where a hit was found.
type HitState uint8

// The states of a hit.
const (
	Graphed  HitState = 1
	Fresh    HitState = 2
	InFlight HitState = 3
)

// Hit is one recalled memory. ObservedAt, Content, Metadata and Embedding come from the journal.
type Hit struct {
	ID         string
	Score      float32
	Confidence float32
	State      HitState
	Version    Version
	ObservedAt time.Time
	ReceivedAt time.Time
	Content    string
	Metadata   map[string]Value
	Embedding  []float32
}

// Payload sums the bytes of what a hit carries, without what holds it: structs, headers, tags.
func (h *Hit) Payload() int {
	return payload(h.ID, h.Content, h.Embedding, h.Metadata)
}

// Payload is what an observation brings, in bytes: id, content, vector and metadata.
func (o *Observation) Payload() int { return payload(o.ID, o.Content, o.Vector, o.Metadata) }

func payload(id, content string, vector []float32, metadata map[string]Value) int {
	bytes := len(id) + len(content) + 4*len(vector)
	for key, value := range metadata {
		bytes += len(key)
		if s, ok := value.(string); ok {
			bytes += len(s)
		}
	}
	return bytes
}

// Result answers a Query: hits by falling score, ties by rising version, as of Snapshot.
type Result struct {
	Hits     []Hit
	Snapshot Version
	Graphed  Version
	Scanned  int    // vectors compared exactly
	Embedder string // the identity of what embedded the query's text; empty: the query brought a vector
}
