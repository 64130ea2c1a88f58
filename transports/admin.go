package transports

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// CreateSpace makes a space. The request's rules have been checked; what the server sets is not read.
func (s *Server) CreateSpace(ctx context.Context, r *engramv1.CreateSpaceRequest) (*engramv1.CreateSpaceResponse, error) {
	metric := memory.Metric(r.GetSpace().GetMetric())
	if metric == 0 {
		metric = memory.Cosine
	}
	want := memory.Space{
		Name: r.GetSpace().GetName(), Dimension: int(r.GetSpace().GetDimension()), Metric: metric, Embedder: r.GetSpace().GetEmbedder(),
	}
	if err := s.settleEmbedder(ctx, &want); err != nil {
		return nil, err
	}
	space, err := s.Journal.Get().CreateSpace(ctx, want)
	if err != nil {
		return nil, err
	}
	return &engramv1.CreateSpaceResponse{Space: s.spaceToWire(space)}, nil
}

// ListSpaces pages through the spaces by name; the page token is the last name of the page before.
func (s *Server) ListSpaces(_ context.Context, r *engramv1.ListSpacesRequest) (*engramv1.ListSpacesResponse, error) {
	size := pageSize(r.GetPageSize())
	spaces := s.Journal.Get().ListSpaces(r.GetPageToken(), size+1)
	response := &engramv1.ListSpacesResponse{}
	if len(spaces) > size {
		spaces = spaces[:size]
		response.NextPageToken = spaces[size-1].Name
	}
	for _, space := range spaces {
		response.Spaces = append(response.Spaces, s.spaceToWire(space))
	}
	return response, nil
}

// DeleteSpace deletes a space, and ends the streams of its sessions.
func (s *Server) DeleteSpace(ctx context.Context, r *engramv1.DeleteSpaceRequest) (*engramv1.DeleteSpaceResponse, error) {
	deleted, attached, err := s.Journal.Get().DeleteSpace(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	for _, id := range attached {
		s.hub.end(id, errSpaceDeleted(id, deleted.Name))
	}
	s.hub.forget(deleted.Name)
	return &engramv1.DeleteSpaceResponse{}, nil
}

func pageSize(asked uint32) int {
	if asked == 0 {
		return defaultPageSize
	}
	return int(min(asked, maxPageSize))
}

// GetStats counts the whole server, or one space. The queue is the process's either way.
func (s *Server) GetStats(ctx context.Context, r *engramv1.GetStatsRequest) (*engramv1.GetStatsResponse, error) {
	if r.GetSpace() == "" {
		t := s.hub.SettledTally(ctx)
		response := s.stats(t)
		committed, attached, detached := s.Journal.Get().JournalStats()
		response.Committed, response.SessionsAttached, response.SessionsDetached = committed, uint32(attached), uint32(detached)
		response.Index = indexToWire(s.Index.Get().Stats())
		response.Graphed = response.GetIndex().GetGraphedVectors()
		response.HeaviestSpaces = s.loads(s.Workload.Get().HeaviestKeys(heaviestSpaces))
		return response, nil
	}
	if err := s.requireSpace(r.GetSpace()); err != nil {
		return nil, err
	}
	t := settledTally(ctx, func() session.Tally { return s.hub.SpaceTally(r.GetSpace()) })
	response := s.stats(t)
	response.Committed = uint64(s.Index.Get().Published(r.GetSpace()))
	response.SessionsAttached = uint32(s.hub.Attached(r.GetSpace()))
	response.Index = heldToWire(s.Index.Get().Held(r.GetSpace()))
	response.Graphed = response.GetIndex().GetGraphedVectors()
	response.HeaviestSpaces = s.loads([]string{r.GetSpace()})
	return response, nil
}

// settledTally reads the counts once what was received by now has its verdicts, or after statsPatience. An ack leaves
// a moment before its items are counted, and who asks after an ack shall find them counted.
func settledTally(ctx context.Context, read func() session.Tally) session.Tally {
	t := read()
	received := t.Offered + t.InFlight
	ctx, cancel := context.WithTimeout(ctx, statsPatience)
	defer cancel()
	ticker := time.NewTicker(statsInterval)
	defer ticker.Stop()
	for t.Offered < received {
		select {
		case <-ticker.C:
			t = read()
		case <-ctx.Done():
			return t
		}
	}
	return t
}

func (s *Server) stats(t session.Tally) *engramv1.GetStatsResponse {
	p := s.Admission.Get().Pressure()
	return &engramv1.GetStatsResponse{
		QueueDepth: uint64(p.Items), QueueCapacity: uint64(p.ItemLimit), DrainPerSecond: p.DrainPerSecond,
		Offered: t.Offered, Accepted: t.Accepted, Duplicate: t.Duplicate, Nacked: t.Nacked,
		Rejected: t.Rejected, Superseded: t.Superseded, Aborted: t.Aborted, InFlight: t.InFlight,
	}
}

// loads tells of the spaces that are not idle, the busiest first.
func (s *Server) loads(spaces []string) []*engramv1.SpaceLoad {
	var all []*engramv1.SpaceLoad
	for _, space := range spaces {
		load, deepest := &engramv1.SpaceLoad{Space: space}, 0
		for _, at := range s.Workload.Get().LoadOf(space) {
			load.Queued += uint64(at.Queued.Items)
			if at.Busy > load.GetBusy() || load.GetBusy() < leastBusy && at.Queued.Items > deepest {
				load.Busy, load.BusiestStage = max(at.Busy, load.GetBusy()), at.Node
			}
			deepest = max(deepest, at.Queued.Items)
		}
		if load.GetBusy() < leastBusy {
			load.Busy = 0
		}
		if load.GetQueued() > 0 || load.GetBusy() > 0 {
			all = append(all, load)
		}
	}
	slices.SortFunc(all, func(a, b *engramv1.SpaceLoad) int {
		return cmp.Or(cmp.Compare(b.GetBusy(), a.GetBusy()), cmp.Compare(b.GetQueued(), a.GetQueued()), cmp.Compare(a.GetSpace(), b.GetSpace()))
	})
	return all
}

func heldToWire(h memory.IndexHeld) *engramv1.IndexStats {
	return &engramv1.IndexStats{
		GraphedVectors: h.Graphed, ScannedVectors: h.Scanned, BehindVectors: h.Behind,
		CodesBytes: h.Codes, GraphsBytes: h.Graphs, RecordsBytes: h.Records, IdsBytes: h.IDs, UnloadedBytes: h.Unloaded,
	}
}

func indexToWire(s memory.IndexStats) *engramv1.IndexStats {
	w := heldToWire(s.IndexHeld)
	w.MostBehindVectors = s.MostBehind
	w.GraphedSpaces, w.ScannedSpaces, w.DegradedSpaces = uint32(s.GraphedSpaces), uint32(s.ScannedSpaces), uint32(s.DegradedSpaces)
	w.UnloadedSpaces = uint32(s.UnloadedSpaces)
	w.MergedVectors, w.Merges, w.FailedMerges, w.RemovedVectors = s.Merged, s.Merges, s.FailedMerges, s.Removed
	w.Merging, w.WriterWaits, w.WritersWaited = durationpb.New(s.Merging), s.Waits, durationpb.New(s.Waited)
	w.RebuiltSpaces = s.Rebuilt
	return w
}

// spaceToWire adds what the index knows of a space.
func (s *Server) spaceToWire(space memory.Space) *engramv1.Space {
	alive, at := s.Index.Get().Memories(space.Name)
	return &engramv1.Space{
		Name: space.Name, Dimension: uint32(space.Dimension), Metric: engramv1.Metric(space.Metric), Embedder: space.Embedder,
		CreatedAt: timeToWire(space.CreatedAt), Memories: alive, CommittedVersion: uint64(at),
		GraphedVersion: uint64(min(s.Index.Get().Graphed(space.Name), at)),
	}
}
