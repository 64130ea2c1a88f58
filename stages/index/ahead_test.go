package index

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/memory"
)

// failingReplay fails before an op, from 1.
type failingReplay struct {
	*fakeJournal
	at int
}

var errRead = errors.New("cannot be read")

func (f failingReplay) ReplayOps(ctx context.Context, fn func(memory.Space, memory.Version, memory.Ordinal, memory.Op) error) error {
	return f.fakeJournal.ReplayOps(ctx, func(s memory.Space, v memory.Version, o memory.Ordinal, op memory.Op) error {
		if int(o) == f.at {
			return errRead
		}
		return fn(s, v, o, op)
	})
}

// TestAReplayAheadIsAReplay: every op once and in order, up to the first error of either side, which is returned.
func TestAReplayAheadIsAReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := newFakeJournal()
		n := rapid.SampledFrom([]int{0, 1, aheadOps - 1, aheadOps, aheadOps + 1, 3000}).Draw(t, "ops")
		wide := make([]float32, rapid.SampledFrom([]int{1, 3000}).Draw(t, "dimension"))
		for range n {
			j.append(at("x"), durable(), observe("one", wide...))
		}
		read, applied := rapid.IntRange(1, 4000).Draw(t, "the op that cannot be read"), rapid.IntRange(1, 4000).Draw(t, "the op that cannot be applied")
		errApplied := errors.New("cannot be applied")
		next := memory.Ordinal(1)
		ix := newIndex(failingReplay{j, read}, hasher(1), nil, newMerger(mergeLimits{}, 0, &snapshots{}, nil))
		err := ix.replayAhead(context.Background(), func(space memory.Space, s step) error {
			require.Equal(t, next, s.ordinal)
			require.Equal(t, memory.Version(next), s.version)
			require.Equal(t, "x", space.Name)
			if int(s.ordinal) == applied {
				return errApplied
			}
			next++
			return nil
		})
		switch {
		case applied <= n && applied < read-aheadBatches*aheadOps-aheadOps || applied <= n && read > n:
			require.ErrorIs(t, err, errApplied)
			require.Equal(t, applied, int(next))
		case read <= n && (applied > n || read <= applied):
			require.ErrorIs(t, err, errRead)
		case read > n && applied > n:
			require.NoError(t, err)
			require.Equal(t, n+1, int(next))
		default:
			require.Error(t, err)
		}
	})
}

func TestAReplayAheadEndsWithItsContext(t *testing.T) {
	j := newFakeJournal()
	for range 3000 {
		j.append(at("x"), durable(), observe("one", 1))
	}
	ix := newIndex(j, hasher(1), nil, newMerger(mergeLimits{}, 0, &snapshots{}, nil))
	ctx, cancel := context.WithCancel(context.Background())
	err := ix.replayAhead(ctx, func(memory.Space, step) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}
