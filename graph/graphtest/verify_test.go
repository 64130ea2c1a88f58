package graphtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
)

// split sends evens to lane 0 and odds to lane 1, and rejects what is negative.
type split struct{}

func (split) Lanes() int { return 2 }

func (split) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	var lanes [2][]int
	for i, n := range in.Items {
		if n < 0 {
			in.Reject(i, graphtest.ErrPort)
			continue
		}
		lanes[n%2] = append(lanes[n%2], i)
	}
	for lane, indexes := range lanes {
		if err := out.Lane(lane).Send(ctx, graph.Take(in, indexes)); err != nil {
			return err
		}
	}
	return nil
}

// buffer holds up to limit items a lane.
type buffer struct {
	limit int
	held  *graph.Batch[int]
}

func (s *buffer) Bounds() graph.Bounds { return graph.Bounds{HoldItems: s.limit, HoldBytes: 1 << 10} }

func (s *buffer) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	if s.held != nil {
		in = graph.Concat(s.held, in)
		s.held = nil
	}
	if in.Live() <= s.limit {
		s.held = in
		return nil
	}
	return out.Send(ctx, in)
}

func (s *buffer) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[int]) (time.Duration, error) {
	if s.held == nil {
		return 0, nil
	}
	if why == graph.FlushStarved {
		return time.Millisecond, nil
	}
	b := s.held
	s.held = nil
	return 0, out.Send(ctx, b)
}

// count is fused and keeps a sum, under a lock.
type count struct {
	mu  sync.Mutex
	sum int // guarded by mu
}

func (s *count) Process(ctx context.Context, in *graph.Batch[int], out graph.Port[int]) error {
	s.mu.Lock()
	s.sum += in.Len()
	s.mu.Unlock()
	return out.Send(ctx, in)
}

func subject(s graph.Stage[int, int]) func(graph.Deps) graphtest.Subject[int, int] {
	return func(graph.Deps) graphtest.Subject[int, int] {
		if b, ok := s.(*buffer); ok {
			s = &buffer{limit: b.limit}
		}
		return graphtest.Subject[int, int]{
			Stage: s,
			Batch: func(t *rapid.T) []int { return rapid.SliceOfN(rapid.IntRange(-2, 9), 1, 6).Draw(t, "items") },
		}
	}
}

func TestVerifyStage(t *testing.T) {
	t.Run("splitter", func(t *testing.T) { graphtest.VerifyStage(t, graph.Traits{Partitions: true}, subject(split{})) })
	t.Run("holder", func(t *testing.T) { graphtest.VerifyStage(t, graph.Traits{}, subject(&buffer{limit: 5})) })
	t.Run("fused", func(t *testing.T) { graphtest.VerifyStage(t, graph.Traits{Fused: true}, subject(&count{})) })
	t.Run("parallel", func(t *testing.T) { graphtest.VerifyStage(t, graph.Traits{Parallel: true}, subject(&count{})) })
}
