package graph_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

const (
	loadKeys  = 64
	loadItems = 2 // of a batch
)

// spaceload keeps batches of many keys waiting in front of a graph's workers, each key in a feeder's hands: as soon as one
// has its verdicts the next is offered.
type spaceload struct {
	engine *graph.Engine
	done   [loadKeys]atomic.Int64 // batches
	early  [loadKeys]int64        // of those, what was done in the first quarter
	left   atomic.Int64           // batches to offer; negative when there are none
	feeds  conc.WaitGroup
}

// apart sends each batch by its key, as shard does.
type apart struct{ lanes int }

func (s apart) Lanes() int { return s.lanes }

func (s apart) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	key := in.Items[0].key
	return out.SendTo(ctx, graph.Route{Lane: key * 7 % 61 % s.lanes, Key: strconv.Itoa(key)}, in)
}

// newSpaceload builds in → charge → apart → first → second → out, where body is what a batch costs in first and second.
func newSpaceload(t testing.TB, workers int, window int, body func(stage string)) *spaceload {
	r := toys(discard)
	addStage(r, "apart", graph.Traits{Fused: true, Partitions: true}, func(graph.Deps) graph.Stage[word, word] { return apart{workers} })
	for _, name := range []string{"first", "second"} {
		addStage(r, name, graph.Traits{Ordered: true}, func(graph.Deps) graph.Stage[word, word] {
			return each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
				body(name)
				return out.Send(ctx, in)
			})
		})
	}
	spec := line("charge", "apart", "first", "second")
	spec.Budget = graph.Window{Items: 1 << 20, Bytes: 1 << 30}
	at(spec, "in").Offers = graph.Window{Items: loadItems, Bytes: 1}
	at(spec, "second").Edge = &graph.EdgeSpec{Window: graph.Window{Items: window, Bytes: 1 << 20}}
	return &spaceload{engine: start(t, spec, r, graph.Options{})}
}

// run offers so many batches, ahead(key) of each key at once, until all are offered.
func (l *spaceload) run(batches int, ahead func(key int) int) {
	l.left.Store(int64(batches))
	for key := range loadKeys {
		slots := make(chan struct{}, ahead(key))
		l.feeds.Go(func() {
			for {
				slots <- struct{}{}
				left := l.left.Add(-1)
				if left < 0 {
					return
				}
				if left == int64(batches)*3/4 {
					l.warm()
				}
				items := make([]word, loadItems)
				for i := range items {
					items[i].key = key
				}
				_ = inlet(l.engine).Offer(context.Background(), graph.Offer[word]{
					Items: items, Bytes: make([]int32, loadItems), Settler: settled(func(item int) {
						if item == loadItems-1 {
							l.done[key].Add(1)
							<-slots
						}
					}),
				})
			}
		})
	}
	l.feeds.Wait()
}

type settled func(item int)

func (f settled) Settle(item int, _ graph.Outcome) { f(item) }

// warm ends the warming up: at first the queues fill in the order that the feeders come.
func (l *spaceload) warm() {
	for key := range l.done {
		l.early[key] = l.done[key].Load()
	}
}

// spread is the most batches of a key by the least since it was warm, over the keys from one on.
func (l *spaceload) spread(from int) float64 {
	var counts []int64
	for key := from; key < loadKeys; key++ {
		counts = append(counts, l.done[key].Load()-l.early[key])
	}
	return float64(slices.Max(counts)) / float64(slices.Min(counts))
}

// idle is the share of their time that the workers of a stage have waited for input.
func (l *spaceload) idle(stage string, workers int, elapsed time.Duration) float64 {
	return float64(node(l.engine.Stats(), stage).Starved) / float64(workers) / float64(elapsed)
}

// equal has all keys so many batches ahead, hot the first ten times as many.
func equal(ahead int) func(key int) int { return func(int) int { return ahead } }

func hot(ahead int) func(key int) int {
	return func(key int) int {
		if key == 0 {
			return 10 * ahead
		}
		return ahead
	}
}

// TestWorkersShareEqualSpaces: with workers that need no processor, over equal keys, the time falls with their number
// and all keys get on alike.
func TestWorkersShareEqualSpaces(t *testing.T) {
	const each, body = 80, time.Millisecond
	for _, workers := range []int{1, 2, 4, 8, 16} {
		t.Run(strconv.Itoa(workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSpaceload(t, workers, 512*loadItems, func(stage string) {
					if stage == "second" {
						time.Sleep(body)
					}
				})
				began := time.Now()
				l.run(loadKeys*each, equal(4))
				elapsed := time.Since(began)
				require.LessOrEqual(t, l.spread(0), 1.2)
				drain(t, l.engine)
				ideal := loadKeys * each * body / time.Duration(workers)
				require.LessOrEqual(t, elapsed, ideal+ideal/20)
			})
		})
	}
}

// TestNoWorkerIsIdleBesideAHotSpace: one key is ten times as far ahead and could fill the window between the stages; the
// workers behind it still find work, and the other keys get on alike.
func TestNoWorkerIsIdleBesideAHotSpace(t *testing.T) {
	for _, workers := range []int{2, 4, 8, 16} {
		t.Run(strconv.Itoa(workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newSpaceload(t, workers, 32*loadItems, func(stage string) {
					if stage == "second" {
						time.Sleep(time.Millisecond)
					}
				})
				began := time.Now()
				l.run(loadKeys*80, hot(4))
				elapsed := time.Since(began)
				require.LessOrEqual(t, l.idle("second", workers, elapsed), 0.05)
				require.LessOrEqual(t, l.spread(1), 1.2)
				drain(t, l.engine)
			})
		})
	}
}

// TestAHotKeyLeavesRoomForOthers: its batches wait in front of both stages, and another key's pass at once.
func TestAHotKeyLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSpaceload(t, 2, 8*loadItems, func(stage string) {
			if stage == "second" {
				time.Sleep(time.Second)
			}
		})
		for range 20 {
			_, err := offer(l.engine, 0, loadItems)
			require.NoError(t, err)
		}
		time.Sleep(2500 * time.Millisecond)
		first := node(l.engine.Stats(), "first")
		require.Positive(t, first.Blocked)
		require.Equal(t, "second", first.BlockedOn)
		other, err := offer(l.engine, 1, loadItems)
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, loadItems, other.Settled())
		drain(t, l.engine)
	})
}

// urgently sends the words of key 0 by sender a, those of key 1 by sender b and as urgent, all by one key of the graph.
type urgently struct{}

func (urgently) Lanes() int { return 2 }

func (urgently) Process(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
	r := graph.Route{Key: "k", Sender: "a"}
	if in.Items[0].key == 1 {
		r.Sender, r.Urgent = "b", true
	}
	return out.SendTo(ctx, r, in)
}

// TestAnUrgentBatchOvertakesInTheFirstQueueOnly: behind it the order of a key is what the stage made it.
func TestAnUrgentBatchOvertakesInTheFirstQueueOnly(t *testing.T) {
	for slow, want := range map[string][]int{"first": {0, 1, 0}, "second": {0, 0, 1}} {
		t.Run(slow, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []int
				r := toys(func(_ context.Context, in *graph.Batch[word]) error {
					got = append(got, in.Items[0].key)
					return nil
				})
				addStage(r, "urgently", graph.Traits{Fused: true, Partitions: true}, func(graph.Deps) graph.Stage[word, word] { return urgently{} })
				for _, name := range []string{"first", "second"} {
					addStage(r, name, graph.Traits{}, func(graph.Deps) graph.Stage[word, word] {
						return each[word, word](func(ctx context.Context, in *graph.Batch[word], out graph.Port[word]) error {
							if name == slow {
								time.Sleep(time.Second)
							}
							return out.Send(ctx, in)
						})
					})
				}
				e := start(t, line("charge", "urgently", "first", "second"), r, graph.Options{})
				for _, key := range []int{0, 0, 1} {
					_, err := offer(e, key, 1)
					require.NoError(t, err)
					synctest.Wait()
				}
				drain(t, e)
				require.Equal(t, want, got)
			})
		})
	}
}

// TestADrainAppliesAllThatIsQueued: ten thousand batches wait when it begins.
func TestADrainAppliesAllThatIsQueued(t *testing.T) {
	const queued = 10_000
	gate := make(chan struct{})
	l := newSpaceload(t, 4, 512*loadItems, func(string) { <-gate })
	var settledItems atomic.Int64
	for n := range queued {
		_ = inlet(l.engine).Offer(context.Background(), graph.Offer[word]{
			Items: []word{{key: n % loadKeys, n: n}}, Bytes: make([]int32, 1), Settler: settled(func(int) { settledItems.Add(1) }),
		})
	}
	require.Equal(t, queued, l.engine.Stats().Offers)
	close(gate)
	began := time.Now()
	drain(t, l.engine)
	require.EqualValues(t, queued, settledItems.Load())
	require.Less(t, time.Since(began), 5*time.Second)
}

// load returns what a key is to a stage's workers.
func load(e *graph.Engine, key, stage string) graph.KeyLoad {
	for _, l := range e.LoadOf(key) {
		if l.Node == stage {
			return l
		}
	}
	return graph.KeyLoad{}
}

// TestTheLoadsOfKeysAreTheWorkers: what keys take is what workers gave, and it fades.
func TestTheLoadsOfKeysAreTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSpaceload(t, 2, 512*loadItems, func(stage string) {
			if stage == "second" {
				time.Sleep(time.Millisecond)
			}
		})
		l.run(loadKeys*80, equal(4))
		synctest.Wait()
		sum := func() (sum float64) {
			for key := range loadKeys {
				sum += load(l.engine, strconv.Itoa(key), "second").Busy
			}
			return sum
		}
		require.InDelta(t, 2, sum(), 0.05)
		require.InDelta(t, 2.0/loadKeys, load(l.engine, "7", "second").Busy, 0.01)
		require.Zero(t, load(l.engine, "7", "first").Busy, "it takes no time there")
		time.Sleep(time.Minute)
		require.Less(t, sum(), 0.02)
		drain(t, l.engine)
	})
}

// TestAKeyInHandIsBusy: before its batch is done.
func TestAKeyInHandIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSpaceload(t, 2, 8*loadItems, func(stage string) {
			if stage == "second" {
				time.Sleep(time.Hour)
			}
		})
		for range 4 {
			_, err := offer(l.engine, 3, loadItems)
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Second)
		got := load(l.engine, "3", "second")
		require.InDelta(t, 1, got.Busy, 0.001)
		require.Equal(t, 3*loadItems, got.Queued.Items)
		require.Equal(t, []string{"3"}, l.engine.HeaviestKeys(5))
		require.Empty(t, l.engine.LoadOf("4"))
		drain(t, l.engine)
	})
}

// spin is some work for a processor.
func spin(rounds int) uint64 {
	x := uint64(88172645463325252)
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

var spun atomic.Uint64

// spinRounds are what a batch of the benchmarks costs.
const spinRounds = 150_000

// BenchmarkWorkersBare is the same work with no graph: what so many processors can do on this machine, now.
func BenchmarkWorkersBare(b *testing.B) {
	for _, workers := range []int{1, 2, 4, 8, 16} {
		if workers > runtime.NumCPU() {
			continue
		}
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
			var left atomic.Int64
			left.Store(int64(b.N))
			var all conc.WaitGroup
			for range workers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						spun.Add(spin(spinRounds))
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
		})
	}
}

// BenchmarkWorkers is 64 keys over a number of workers and as many processors, whose stage needs a processor for some
// 200 µs a batch: all keys alike, and one of them ten times as far ahead.
func BenchmarkWorkers(b *testing.B) {
	for load, ahead := range map[string]func(int) int{"equal": equal(16), "one at 10x": hot(16)} {
		for _, workers := range []int{1, 2, 4, 8, 16} {
			if workers > runtime.NumCPU() {
				continue
			}
			b.Run(fmt.Sprintf("%s/workers=%d", load, workers), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
				l := newSpaceload(b, workers, 512*loadItems, func(stage string) {
					if stage == "second" {
						spun.Add(spin(spinRounds))
					}
				})
				b.ResetTimer()
				l.run(b.N, ahead)
				b.StopTimer()
				b.ReportMetric(l.spread(1), "max/min")
				b.ReportMetric(100*l.idle("second", workers, b.Elapsed()), "%idle")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
				drain(b, l.engine)
			})
		}
	}
}
