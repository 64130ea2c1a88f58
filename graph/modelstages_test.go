package graph_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/engram-stream/engram/graph"
)

// The stages of the model's random graphs. They may run fused, so they keep no state.

func marks(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	for i, w := range in.Items {
		in.Mark(i, markOf(w))
	}
	return out.Send(ctx, graph.Map(in, append([]word(nil), in.Items...)))
}

func filters(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	for i, w := range in.Items {
		if w.n%5 == 4 {
			in.Reject(i, errModel)
		}
	}
	return out.Send(ctx, in)
}

// folds makes one item of each run of one key, with the last number of it.
func folds(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	var folded []word
	var ends []int
	for i, w := range in.Items {
		if n := len(folded); n > 0 && folded[n-1].key == w.key {
			folded[n-1], ends[n-1] = w, i+1
		} else {
			folded, ends = append(folded, w), append(ends, i+1)
		}
	}
	return out.Send(ctx, graph.Fold(in, folded, ends))
}

func dawdles(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	time.Sleep(time.Millisecond)
	return out.Send(ctx, in)
}

// tries does not wait for credit; what does not fit it rejects.
func tries(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	err := out.TrySend(ctx, in)
	if errors.Is(err, graph.ErrNoCredit) {
		in.RejectLive(errModel)
		return nil
	}
	return err
}

// half sends the first half of a batch.
func half(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) {
	var first []int
	for i := range in.Len() / 2 {
		first = append(first, i)
	}
	_ = out.Send(ctx, graph.Take(in, first)) // the rest fails either way
}

func has(in *graph.Batch[word], modulo, rest int) bool {
	for _, w := range in.Items {
		if w.n%modulo == rest {
			return true
		}
	}
	return false
}

func fails(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	if has(in, 7, 3) {
		half(ctx, in, out)
		return errModel
	}
	return out.Send(ctx, in)
}

func panics(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	if has(in, 7, 5) {
		half(ctx, in, out)
		panic(errModel)
	}
	return out.Send(ctx, in)
}

// loses forgets some items that it has taken out of their batch.
func loses(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	for i, w := range in.Items {
		if w.n%6 == 1 {
			graph.Take(in, []int{i})
		}
	}
	return out.Send(ctx, in)
}

// sharder splits by key.
type sharder struct{ lanes int }

func (s sharder) Lanes() int { return s.lanes }

func (s sharder) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	lanes := make([][]int, s.lanes)
	for i, w := range in.Items {
		lanes[w.key%s.lanes] = append(lanes[w.key%s.lanes], i)
	}
	for lane, indexes := range lanes {
		if len(indexes) == 0 {
			continue
		}
		if err := out.Lane(lane).Send(ctx, graph.Take(in, indexes)); err != nil {
			return err
		}
	}
	return nil
}

// keyer splits by key and tells the engine so: two keys of the test share one of the graph's and are its senders, and
// some batches are urgent.
type keyer struct{ lanes int }

func (s keyer) Lanes() int { return s.lanes }

func (s keyer) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	parts, order := map[int][]int{}, []int{}
	for i, w := range in.Items {
		if parts[w.key] == nil {
			order = append(order, w.key)
		}
		parts[w.key] = append(parts[w.key], i)
	}
	for _, key := range order {
		group := key / 2
		r := graph.Route{
			Lane: group % s.lanes, Key: strconv.Itoa(group), Sender: strconv.Itoa(key), Urgent: in.Items[parts[key][0]].n%3 == 0,
		}
		if err := out.SendTo(ctx, r, graph.Take(in, parts[key])); err != nil {
			return err
		}
	}
	return nil
}

// laneHolder is a holder for each lane.
type laneHolder struct {
	cap  int
	wait time.Duration

	mu    sync.Mutex
	lanes map[int]*holder // guarded by mu
}

func (h *laneHolder) lane(ctx context.Context) *holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	lane := graph.LaneOf(ctx)
	if h.lanes == nil {
		h.lanes = map[int]*holder{}
	}
	if h.lanes[lane] == nil {
		h.lanes[lane] = &holder{cap: h.cap, wait: h.wait}
	}
	return h.lanes[lane]
}

func (h *laneHolder) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	return h.lane(ctx).Process(ctx, in, out)
}

func (h *laneHolder) Flush(ctx context.Context, why graph.FlushReason, out graph.Port[word]) (time.Duration, error) {
	return h.lane(ctx).Flush(ctx, why, out)
}

func (h *laneHolder) Bounds() graph.Bounds {
	return graph.Bounds{HoldItems: h.cap, HoldBytes: int64(h.cap) * modelKeys}
}
