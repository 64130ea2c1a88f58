package index

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

// One writer re-observes the same memories batch after batch, forgets one and brings it back, while the id table and
// the tier grow under new ids. Whatever a reader sees must be one whole batch: each memory carries its batch's number
// and the checksum of its id with it.
func TestReadersNeverSeeAHalfPublishedBatch(t *testing.T) {
	const kept, batches, readers = 12, 250, 2
	j := newFakeJournal()
	j.createSpace("x", 3, memory.Dot)
	s := openStage(t, j, fixedLimits{workers: readers, queue: 8, maxLimit: 1000})
	write := func(batch int) {
		ops := []memory.Op{forget(numbered(0))}
		for i := range kept {
			ops = append(ops, observe(numbered(i), float32(batch), float32(i), float32(batch^i)))
		}
		for i := range 10 { // far from every query, they only make everything grow
			ops = append(ops, observe(fmt.Sprintf("filler %d %d", batch, i), -1000, 0, 0))
		}
		process(t, s, j.append(at("x"), durable(), ops...)...)
	}
	write(1)
	var done atomic.Bool
	var recalls atomic.Int64
	var group conc.WaitGroup
	for range readers {
		group.Go(func() {
			for !done.Load() && !t.Failed() {
				readOnce(t, s, kept)
				recalls.Add(1)
			}
		})
	}
	for batch := 2; batch <= batches; batch++ {
		write(batch)
	}
	done.Store(true)
	group.Wait()
	require.Positive(t, recalls.Load())
	require.Equal(t, uint64(kept+10*batches), alive(s, "x"))
}

func readOnce(t *testing.T, s *Stage, kept int) {
	ctx := context.Background()
	names := make([]string, kept)
	for i := range names {
		names[i] = numbered(i)
	}
	got, missing, err := s.service.Get(ctx, "x", names, true, nil)
	if err != nil || len(missing) > 0 {
		t.Errorf("get: missing %v, %v", missing, err)
		return
	}
	checkBatch(t, "get", got, kept)
	result, err := s.service.Recall(ctx, "x", memory.Query{Vector: []float32{1, 0, 0}, Limit: kept, IncludeEmbedding: true})
	if err != nil {
		t.Errorf("recall: %v", err)
		return
	}
	checkBatch(t, "recall", result.Hits, kept)
}

func checkBatch(t *testing.T, what string, hits []memory.Hit, kept int) {
	seen := map[string]bool{}
	for _, h := range hits {
		batch, i, sum := int(h.Embedding[0]), int(h.Embedding[1]), int(h.Embedding[2])
		if batch != int(hits[0].Embedding[0]) || h.ID != numbered(i) || sum != batch^i {
			t.Errorf("%s: %s of batch %d with checksum %d among batch %v", what, h.ID, batch, sum, hits[0].Embedding[0])
			return
		}
		seen[h.ID] = true
	}
	if len(seen) != kept {
		t.Errorf("%s: %d of %d memories", what, len(seen), kept)
	}
}

// Lanes write their spaces at the same time.
func TestLanesWriteTheirSpacesConcurrently(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	var lanes conc.WaitGroup
	for lane := range 4 {
		lanes.Go(func() {
			for i := range 50 {
				space := fmt.Sprintf("lane %d space %d", lane, i%5)
				process(t, s, j.append(at(space), durable(), observe(numbered(i), 1, float32(i)))...)
			}
		})
	}
	lanes.Wait()
	for lane := range 4 {
		for i := range 5 {
			require.Equal(t, uint64(10), alive(s, fmt.Sprintf("lane %d space %d", lane, i)))
		}
	}
}
