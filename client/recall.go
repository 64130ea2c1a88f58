package client

import (
	"context"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Query asks a space for the memories nearest to a vector.
type Query struct {
	// Embedding has as many components as the space's dimension. Empty, with a Text: made of that.
	Embedding []float32
	// Text is what to look for instead of an Embedding, at most 64 KiB of UTF-8, in a space with an embedder.
	Text string
	// Limit is how many hits to return at most, 1 to 10,000. 0: 10.
	Limit int
	// MinScore leaves out hits below it. nil: no bound.
	MinScore *float32
	// Exact compares with every vector, the reference answer, whatever index the space has.
	Exact bool
	// IncludeContent fills Content and Metadata of the hits.
	IncludeContent bool
	// IncludeEmbedding fills Embedding of the hits.
	IncludeEmbedding bool
}

// Memory is a stored observation.
type Memory struct {
	ID         string
	Content    string
	Metadata   map[string]any // string, int64, float64 and bool values
	Embedding  []float32      // as it was sent
	Confidence float32        // in [0, 1]
	ObservedAt time.Time      // by the writer's clock; zero if it gave none
	ReceivedAt time.Time      // by the server's clock
	Version    uint64         // of its space, when it was stored
}

// Hit is one memory that a recall found.
type Hit struct {
	Memory
	// Score is higher for a nearer memory, whatever the metric: the cosine in [-1, 1], the dot product, or the negated
	// Euclidean distance.
	Score float32
	// Graphed says that the space's graph found it, and no scan of what the graph does not have yet.
	Graphed bool
}

// Recall is the answer to a Query.
type Recall struct {
	// Hits by falling score; of equal ones the older first.
	Hits []Hit
	// Version is the space's version that the answer reflects: everything committed up to it was considered.
	Version uint64
	// GraphedVersion is up to where the space's graph was searched; what is above was scanned. 0: all was.
	GraphedVersion uint64
	// Embedder names what embedded the query's Text; empty for a query with an Embedding. One that begins with "lexical-"
	// matches words and spellings, not meaning.
	Embedder string
}

// Recall returns the memories of a space nearest to the query. It sees everything that was committed before it.
// Errors: NotFound without such a space, InvalidArgument for a wrong dimension, ResourceExhausted under overload. Of a
// Text: FailedPrecondition without the space's embedder on the server, Unavailable when that fails for now.
func (c *Client) Recall(ctx context.Context, space string, q Query) (*Recall, error) {
	query, err := q.encode()
	if err != nil {
		return nil, err
	}
	res, err := c.memory.Recall(ctx, connect.NewRequest(&engramv1.RecallRequest{Space: space, Query: query}))
	if err != nil {
		return nil, c.failure("recall", err)
	}
	return &Recall{
		Hits: decodeHits(nil, res.Msg.GetHits()), Version: res.Msg.GetSnapshotVersion(),
		GraphedVersion: res.Msg.GetGraphedVersion(), Embedder: res.Msg.GetEmbedder(),
	}, nil
}

func (q *Query) encode() (*engramv1.RecallQuery, error) {
	if q.Limit < 0 {
		return nil, invalid("Limit", "%d is negative", q.Limit)
	}
	if err := checkText("Text", q.Text); err != nil {
		return nil, err
	}
	return &engramv1.RecallQuery{
		Text: q.Text, EmbeddingF32: encodeVector(q.Embedding), Limit: uint32(min(q.Limit, 1<<31)), MinScore: q.MinScore, Exact: q.Exact,
		IncludeContent: q.IncludeContent, IncludeEmbedding: q.IncludeEmbedding,
	}, nil
}

func decodeHits(to []Hit, hits []*engramv1.Hit) []Hit {
	for _, h := range hits {
		to = append(to, Hit{Memory: decodeMemory(h), Score: h.GetScore(), Graphed: h.GetState() == engramv1.HitState_HIT_STATE_GRAPHED})
	}
	return to
}

func decodeMemory(h *engramv1.Hit) Memory {
	m := Memory{
		ID: h.GetMemoryId(), Content: h.GetContent(), Metadata: decodeMetadata(h.GetMetadata()),
		Embedding: decodeVector(h.GetEmbeddingF32()), Confidence: h.GetConfidence(), Version: h.GetVersion(),
	}
	if t := h.GetObservedAt(); t != nil {
		m.ObservedAt = t.AsTime()
	}
	if t := h.GetReceivedAt(); t != nil {
		m.ReceivedAt = t.AsTime()
	}
	return m
}
