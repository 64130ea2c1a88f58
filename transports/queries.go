package transports

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Recall answers one recall. The request's rules have been checked.
func (s *Server) Recall(ctx context.Context, r *engramv1.RecallRequest) (*engramv1.RecallResponse, error) {
	query, err := queryFromWire(r.GetQuery(), s.limits.RecallLimit)
	if err != nil {
		return nil, err
	}
	query.Hold = holdOf(ctx)
	result, err := s.recall(ctx, r.GetSpace(), query)
	if err != nil {
		return nil, err
	}
	return &engramv1.RecallResponse{
		Hits: hitsToWire(result.Hits), SnapshotVersion: uint64(result.Snapshot), GraphedVersion: uint64(result.Graphed),
		Embedder: result.Embedder,
	}, nil
}

// recall asks the index, measured; a text is embedded first.
func (s *Server) recall(ctx context.Context, space string, query memory.Query) (result memory.Result, err error) {
	err = s.recalls.Measure(ctx, func(ctx context.Context) error {
		by := ""
		if query.Vector == nil {
			if query.Vector, by, err = s.embedQuery(ctx, space, query.Text); err != nil {
				return err
			}
		}
		result, err = s.Index.Get().Recall(ctx, space, query)
		result.Embedder = by
		return err
	})
	return result, err
}

// Get reads memories by name.
func (s *Server) Get(ctx context.Context, r *engramv1.GetRequest) (*engramv1.GetResponse, error) {
	found, missing, err := s.Index.Get().Get(ctx, r.GetSpace(), r.GetMemoryIds(), r.GetIncludeEmbedding(), holdOf(ctx))
	if err != nil {
		return nil, err
	}
	return &engramv1.GetResponse{Memories: hitsToWire(found), Missing: missing}, nil
}

// ListMemories pages through a space by version; the page token is the last version looked at.
func (s *Server) ListMemories(ctx context.Context, r *engramv1.ListMemoriesRequest) (*engramv1.ListMemoriesResponse, error) {
	if r.GetFilter() != nil {
		return nil, unbuilt("filter")
	}
	space, _ := s.Journal.Get().Space(r.GetSpace()) // none: the index says so
	after, err := afterPage(space, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(r.GetPageSize())
	page, last, more, err := s.Index.Get().List(ctx, r.GetSpace(), after, size, r.GetIncludeEmbedding(), holdOf(ctx))
	if err != nil {
		return nil, err
	}
	response := &engramv1.ListMemoriesResponse{Memories: hitsToWire(page)}
	if more {
		response.NextPageToken = pageAfter(space, last)
	}
	return response, nil
}

// pageAfter is the token of the page of a space's memories after a version. It names the space by a checksum, so that
// one of another space, or of a deleted one of the same name, is not taken for the end.
func pageAfter(space memory.Space, v memory.Version) string {
	named := fmt.Sprintf("%s/%d", space.Name, space.Incarnation)
	return fmt.Sprintf("%s.%08x", strconv.FormatUint(uint64(v), 36), crc32.ChecksumIEEE([]byte(named)))
}

func afterPage(space memory.Space, token string) (memory.Version, error) {
	if token == "" {
		return 0, nil
	}
	number, _, _ := strings.Cut(token, ".")
	v, err := strconv.ParseUint(number, 36, 64)
	if err != nil || pageAfter(space, memory.Version(v)) != token {
		return 0, fault.New(fault.InvalidArgument, "the page token is not one of this listing").WithField("page_token").
			WithReason("INVALID_PAGE_TOKEN").WithHint("send next_page_token of the page before, or none for the first")
	}
	return memory.Version(v), nil
}

func (s *Server) requireSpace(name string) error {
	if _, ok := s.Journal.Get().Space(name); !ok {
		return memory.NoSpace().WithSubject(fmt.Sprintf("space %q", name))
	}
	return nil
}
