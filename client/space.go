package client

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Metric is how a space compares vectors.
type Metric uint8

// The metrics. The zero Metric means cosine.
const (
	Cosine Metric = 1
	Dot    Metric = 2
	L2     Metric = 3
)

// String returns "cosine", "dot" or "l2".
func (m Metric) String() string {
	switch m {
	case 0, Cosine:
		return "cosine"
	case Dot:
		return "dot"
	case L2:
		return "l2"
	}
	return fmt.Sprintf("metric(%d)", uint8(m))
}

// Space is a set of memories with one dimension and one metric. To make one, set Name, Dimension and Metric; for texts,
// Name and Embedder.
type Space struct {
	Name      string // 1 to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit
	Dimension int    // 1 to 4096
	Metric    Metric
	// Embedder names what makes vectors of texts here; empty: vectors come from clients. To make a space, the server's own
	// by its kind, "lexical", or as ListSpaces tells it.
	Embedder string

	CreatedAt time.Time
	Memories  uint64 // how many it holds
	Version   uint64 // the last committed one; every observation and forget takes the next
	// GraphedVersion is up to where its graph is searched; what is above is scanned. 0: all is, as in small spaces.
	GraphedVersion uint64
}

// CreateSpace makes a space before its first write, to choose its metric. It is no error if the space exists with the
// same dimension, metric and embedder; with others it is AlreadyExists.
func (c *Client) CreateSpace(ctx context.Context, space Space) (*Space, error) {
	if space.Dimension < 0 {
		return nil, invalid("Dimension", "%d is negative", space.Dimension)
	}
	res, err := c.admin.CreateSpace(ctx, connect.NewRequest(&engramv1.CreateSpaceRequest{Space: &engramv1.Space{
		Name: space.Name, Dimension: uint32(min(space.Dimension, 1<<31)), Metric: engramv1.Metric(max(space.Metric, Cosine)),
		Embedder: space.Embedder,
	}}))
	if err != nil {
		return nil, c.failure("create space", err)
	}
	made := decodeSpace(res.Msg.GetSpace())
	return &made, nil
}

// ListSpaces returns all spaces, by name.
func (c *Client) ListSpaces(ctx context.Context) ([]Space, error) {
	return allPages("list spaces", func(token string) ([]Space, string, error) {
		res, err := c.admin.ListSpaces(ctx, connect.NewRequest(&engramv1.ListSpacesRequest{PageSize: perPage, PageToken: token}))
		if err != nil {
			return nil, "", c.failure("list spaces", err)
		}
		return decoded(res.Msg.GetSpaces(), decodeSpace), res.Msg.GetNextPageToken(), nil
	})
}

// DeleteSpace deletes a space with everything in it: its memories, and its sessions, whose clients fail with
// ErrSessionExpired. It cannot be taken back. The name may be used again: that makes a new space, from version 1. The error
// is NotFound if there is no such space.
func (c *Client) DeleteSpace(ctx context.Context, name string) error {
	if _, err := c.admin.DeleteSpace(ctx, connect.NewRequest(&engramv1.DeleteSpaceRequest{Name: name})); err != nil {
		return c.failure("delete space", err)
	}
	return nil
}

func decodeSpace(s *engramv1.Space) Space {
	out := Space{
		Name: s.GetName(), Dimension: int(s.GetDimension()), Metric: Metric(s.GetMetric()), Embedder: s.GetEmbedder(),
		Memories: s.GetMemories(), Version: s.GetCommittedVersion(), GraphedVersion: s.GetGraphedVersion(),
	}
	if t := s.GetCreatedAt(); t != nil {
		out.CreatedAt = t.AsTime()
	}
	return out
}

// Stats is the server's own count. Every observation and forget that it received, over all clients since it started,
// has got exactly one verdict, or is InFlight: Offered is the sum of the six verdicts.
type Stats struct {
	Offered    uint64
	Accepted   uint64 // durable and found by recall
	Duplicate  uint64 // known already
	Nacked     uint64 // not taken at that time; the client sent them again
	Rejected   uint64 // refused for good
	Superseded uint64 // from a writer that another had taken over from
	Aborted    uint64 // the stream ended first
	InFlight   uint64 // no verdict yet

	Committed        uint64 // observations and forgets in the journal
	QueueDepth       uint64 // waiting in the pipeline
	QueueCapacity    uint64
	DrainPerSecond   float64 // how fast the queue empties
	SessionsAttached uint32  // with a stream
	SessionsDetached uint32  // waiting to be resumed

	// Heaviest are the spaces of which most is queued and those that keep the server busiest, some ten of each, the busiest
	// first.
	Heaviest []SpaceLoad
}

// SpaceLoad is what a space's writes are to the server.
type SpaceLoad struct {
	Space  string
	Queued uint64
	// Busy is the part of the last ten seconds or so that Stage was at work on the space: 0 to 1.
	Busy  float64
	Stage string
}

// Stats returns the server's counts, of one space or, for the name "", of all.
func (c *Client) Stats(ctx context.Context, space string) (*Stats, error) {
	res, err := c.admin.GetStats(ctx, connect.NewRequest(&engramv1.GetStatsRequest{Space: space}))
	if err != nil {
		return nil, c.failure("stats", err)
	}
	m := res.Msg
	return &Stats{
		Offered: m.GetOffered(), Accepted: m.GetAccepted(), Duplicate: m.GetDuplicate(), Nacked: m.GetNacked(),
		Rejected: m.GetRejected(), Superseded: m.GetSuperseded(), Aborted: m.GetAborted(), InFlight: m.GetInFlight(),
		Committed: m.GetCommitted(), QueueDepth: m.GetQueueDepth(), QueueCapacity: m.GetQueueCapacity(),
		DrainPerSecond: m.GetDrainPerSecond(), SessionsAttached: m.GetSessionsAttached(), SessionsDetached: m.GetSessionsDetached(),
		Heaviest: decoded(m.GetHeaviestSpaces(), decodeLoad),
	}, nil
}

func decodeLoad(l *engramv1.SpaceLoad) SpaceLoad {
	return SpaceLoad{Space: l.GetSpace(), Queued: l.GetQueued(), Busy: l.GetBusy(), Stage: l.GetBusiestStage()}
}
