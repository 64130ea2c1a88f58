package index

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/index/epoch"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// unloadNow has a space unloaded that nobody uses.
func unloadNow(t testing.TB, s *Stage, name string) {
	t.Helper()
	sp := s.index.space(name)
	require.Eventually(t, func() bool { // the loader may be about to leave it
		sp.used.Store(false)
		s.merger.unload(context.Background(), sp)
		return sp.view.Load().unloaded != nil
	}, 10*time.Second, time.Millisecond)
}

// TestAnUnloadedSpaceAnswersAsBefore: whoever asks first has it loaded: recalls, look-ups, listings, dry runs, watchers, and writers.
func TestAnUnloadedSpaceAnswersAsBefore(t *testing.T) {
	ctx := context.Background()
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	all := vectors(1, 300)
	feedIDs(t, s, j, 0, all[:200])
	feedIDs(t, s, j, 150, all[200:300]) // 50 replaced
	process(t, s, j.append(at("x"), durable(), forget(numbered(3)), rejected(), forget(numbered(4), numbered(160)))...)
	feed, err := s.service.Feed("x")
	require.NoError(t, err)
	asks := map[string]func() any{
		"recall": func() any {
			r, err := s.service.Recall(ctx, "x", memory.Query{Vector: all[250], Limit: 20, IncludeContent: true})
			require.NoError(t, err)
			return r
		},
		"get": func() any {
			found, missing, err := s.service.Get(ctx, "x", []string{numbered(1), numbered(3), numbered(170), "none"}, true, nil)
			require.NoError(t, err)
			return []any{found, missing}
		},
		"list": func() any {
			page, last, more, err := s.service.List(ctx, "x", 90, 50, true, nil)
			require.NoError(t, err)
			return []any{page, last, more}
		},
		"match": func() any {
			n, err := s.service.Match(ctx, "x", &memory.Forget{ObservedBefore: time.Now()})
			require.NoError(t, err)
			return n
		},
		"watch": func() any {
			events, next, err := feed.Read(ctx, memory.Cursor{Version: 100}, func(memory.EventKind) bool { return true })
			require.NoError(t, err)
			return []any{events, next}
		},
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			before := ask()
			unloadNow(t, s, "x")
			require.Equal(t, before, ask())
			require.Nil(t, s.index.space("x").view.Load().unloaded)
		})
	}
	unloadNow(t, s, "x")
	n, at := s.service.Memories("x")
	require.Equal(t, []uint64{247, 303}, []uint64{n, uint64(at)})
	require.Equal(t, memory.Version(303), s.service.Published("x"))
	require.NotNil(t, s.index.space("x").view.Load().unloaded, "what is known is told without loading")
	_, err = s.service.Recall(ctx, "x", memory.Query{Vector: []float32{1}})
	require.Equal(t, fault.InvalidArgument, fault.KindOf(err))
	require.NotNil(t, s.index.space("x").view.Load().unloaded, "what is refused needs no loading")
	feedIDs(t, s, j, 170, all[:1])
	require.Nil(t, s.index.space("x").view.Load().unloaded)
	n, at = s.service.Memories("x")
	require.Equal(t, []uint64{247, 304}, []uint64{n, uint64(at)}, "what is known was replaced")
	require.Zero(t, j.replays-1, "of the journal, it reads what it needs")
}

// TestWhatIsUnloadedTakesLittle: a few bytes a memory.
func TestWhatIsUnloadedTakesLittle(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	feedIDs(t, s, j, 0, vectors(1, 5000))
	unloadNow(t, s, "x")
	require.LessOrEqual(t, cap(s.index.space("x").view.Load().unloaded.slots), 5000*4)
}

// TestAGraphIsSavedBeforeItIsUnloaded: and comes back with the space.
func TestAGraphIsSavedBeforeItIsUnloaded(t *testing.T) {
	j := newFakeJournal()
	s, log := openOn(t, vfs.NewMem(), j)
	feedIDs(t, s, j, 0, vectors(1, 3000))
	through := settled(t, s, "x").coverage.Load().through
	s.merger.stop() // what it did, the test does
	unloadNow(t, s, "x")
	require.Equal(t, memory.Version(through), s.service.Graphed("x"))
	recall, fromGraph := found(t, s, vectors(1, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
	assert.Greater(t, fromGraph, 0.5)
	require.Greater(t, s.index.space("x").view.Load().merged.coverage.Load().through, fresh.Slot(1900))
	require.Empty(t, log.String())

	damage(t, s.fs, savedFile, 12345)
	unloadNow(t, s, "x")
	recall, _ = found(t, s, vectors(1, 3100)[3000:])
	assert.Greater(t, recall, 0.95)
	require.Contains(t, log.String(), "checksum")
	require.NoError(t, s.Close())
}

// TestASpaceThatCannotBeLoadedIsRebuilt: from all of the journal.
func TestASpaceThatCannotBeLoadedIsRebuilt(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	feedIDs(t, s, j, 0, vectors(1, 10))
	unloadNow(t, s, "x")
	var reads atomic.Int32
	j.failReads(func(memory.Ordinal) error {
		if reads.Add(1) == 5 {
			return fault.New(fault.Corrupt, "the fifth")
		}
		return nil
	})
	result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: vectors(1, 1)[0]})
	require.NoError(t, err)
	require.Len(t, result.Hits, 10)
	require.Equal(t, 2, j.replays)
}

// holdRead has the journal's next read wait until goOn is closed; entered is closed when it waits.
func holdRead(j *fakeJournal) (entered, goOn chan struct{}) {
	entered, goOn = make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	j.failReads(func(memory.Ordinal) error {
		if !once.Swap(true) {
			close(entered)
			<-goOn
		}
		return nil
	})
	return entered, goOn
}

// TestWhoAsksNeedNotStay: the load goes on, and the next one finds it done.
func TestWhoAsksNeedNotStay(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	feedIDs(t, s, j, 0, vectors(1, 10))
	unloadNow(t, s, "x")
	entered, goOn := holdRead(j)
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := s.service.Recall(ctx, "x", memory.Query{Vector: vectors(1, 1)[0]})
		failed <- err
	}()
	<-entered
	cancel()
	require.Equal(t, fault.Canceled, fault.KindOf(<-failed))
	close(goOn)
	require.Eventually(t, func() bool { return s.index.space("x").view.Load().unloaded == nil }, 5*time.Second, time.Millisecond)
}

// TestAStopEndsLoads: and who waits is told.
func TestAStopEndsLoads(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	feedIDs(t, s, j, 0, vectors(1, 10))
	unloadNow(t, s, "x")
	entered, goOn := holdRead(j)
	failed := make(chan error)
	go func() {
		_, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: vectors(1, 1)[0]})
		failed <- err
	}()
	<-entered
	s.index.loader.cancel()
	close(goOn)
	err := <-failed
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
	require.ErrorContains(t, err, `space "x"`)
	require.NoError(t, s.Close())
}

// TestLoadsWaitForNoWriterOfOtherSpaces: however many of those that are asked for have one that waits for the disk.
func TestLoadsWaitForNoWriterOfOtherSpaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		process(t, s, j.append(at("other"), durable(), observe("one", 1, 2))...)
		unloadNow(t, s, "other")
		writers := cap(s.index.loader.turns) + 1
		disk, done := newFate(), make(chan error, writers)
		for i := range writers {
			name := numbered(i)
			process(t, s, j.append(at(name), durable(), observe("one", 1, 2))...)
			unloadNow(t, s, name)
			in, _ := graphtest.NewBatch(j.append(at(name), disk, observe("two", 1, 2))...)
			go func() { done <- s.Process(t.Context(), in, graphtest.NewPort[session.Applied](1)) }()
			synctest.Wait()
			s.index.load(s.index.space(name)) // for who looked before
		}
		synctest.Wait()
		_, err := s.service.Recall(t.Context(), "other", memory.Query{Vector: []float32{1, 2}})
		require.NoError(t, err)
		disk.decide(nil)
		for range writers {
			require.NoError(t, <-done)
		}
		require.NoError(t, s.Close())
	})
}

// TestAWriterWaitsForNoLoadOfOtherSpaces: it loads its own at once, though who asked for it before waits for a turn.
func TestAWriterWaitsForNoLoadOfOtherSpaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		process(t, s, j.append(at("x"), durable(), observe("one", 1, 2))...)
		unloadNow(t, s, "x")
		for range cap(s.index.loader.turns) {
			s.index.loader.turns <- struct{}{}
		}
		s.index.load(s.index.space("x"))
		synctest.Wait()
		process(t, s, j.append(at("x"), durable(), observe("two", 1, 2))...)
		n, _ := s.service.Memories("x")
		require.Equal(t, uint64(2), n)
		require.NoError(t, s.Close())
	})
}

// TestAWriterThatIsStoppedDoesNotWaitForALoad: which may be long.
func TestAWriterThatIsStoppedDoesNotWaitForALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		feedIDs(t, s, j, 0, vectors(1, 10))
		unloadNow(t, s, "x")
		in, _ := graphtest.NewBatch(j.append(at("x"), durable(), observe("late", vectors(1, 1)[0]...))...)
		goOn := make(chan struct{})
		j.failReads(func(memory.Ordinal) error { <-goOn; return nil })
		s.index.load(s.index.space("x"))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() { failed <- s.Process(ctx, in, graphtest.NewPort[session.Applied](1)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.Equal(t, fault.Canceled, fault.KindOf(<-failed))
		close(goOn)
		require.NoError(t, s.Close())
	})
}

// TestAStopBesideRecalls: nothing is loaded behind it, and nobody waits for what is not.
func TestAStopBesideRecalls(t *testing.T) {
	for range 30 {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		process(t, s, j.append(at("x"), durable(), observe("one", 1, 2))...)
		sp := s.index.space("x")
		var group conc.WaitGroup
		group.Go(func() {
			for range 200 {
				sp.used.Store(false)
				s.merger.unload(context.Background(), sp)
				_, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 2}})
				assert.True(t, err == nil || fault.KindOf(err) == fault.Unavailable)
			}
		})
		require.NoError(t, s.Close())
		group.Wait()
	}
}

// TestIdleSpacesAreUnloaded: those that nobody has used for the time that is set, and no others.
func TestIdleSpacesAreUnloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plain
		c.UnloadAfter = time.Hour
		j := newFakeJournal()
		s := newStage(c, nil, graph.NewHandle[Journal](j), graph.NewHandle[Limits](roomy), nowhere)
		require.NoError(t, s.Open(context.Background()))
		process(t, s, j.append(at("idle"), durable(), observe("one", 1, 2))...)
		process(t, s, j.append(at("busy"), durable(), observe("one", 1, 2))...)
		isUnloaded := func(name string) bool { return s.index.space(name).view.Load().unloaded != nil }
		for range 18 {
			time.Sleep(10 * time.Minute)
			_, err := s.service.Recall(context.Background(), "busy", memory.Query{Vector: []float32{1, 2}})
			require.NoError(t, err)
		}
		synctest.Wait()
		require.True(t, isUnloaded("idle"))
		require.False(t, isUnloaded("busy"))
		_, err := s.service.Recall(context.Background(), "idle", memory.Query{Vector: []float32{1, 2}})
		require.NoError(t, err)
		time.Sleep(55 * time.Minute)
		require.False(t, isUnloaded("idle"))
		time.Sleep(time.Hour)
		require.True(t, isUnloaded("idle"))
		require.NoError(t, s.Close())
	})
}

// TestUnloadingBesideAll: while spaces are unloaded all the time, what is acked is found, by everyone.
func TestUnloadingBesideAll(t *testing.T) {
	const spaces, rounds = 3, 60
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	name := func(i int) string { return fmt.Sprintf("space %d", i) }
	var group, unloading conc.WaitGroup
	var done atomic.Bool
	unloading.Go(func() {
		for n := 0; !done.Load(); n++ {
			if sp := s.index.space(name(n % spaces)); sp != nil {
				sp.used.Store(false)
				s.merger.unload(context.Background(), sp)
			}
		}
	})
	for i := range spaces {
		var acked atomic.Int64
		group.Go(func() {
			defer acked.Store(-1)
			for n := range rounds {
				process(t, s, j.append(at(name(i)), durable(), observe(numbered(n), float32(n+1), 1), observe(numbered(n)+"b", 1, float32(n)))...)
				acked.Store(int64(n + 1))
			}
		})
		for range 2 {
			group.Go(func() {
				for n := acked.Load(); n >= 0; n = acked.Load() {
					if n == 0 {
						continue
					}
					got, missing, err := s.service.Get(context.Background(), name(i), []string{numbered(int(n - 1))}, false, nil)
					if !assert.NoError(t, err) || !assert.Empty(t, missing) || !assert.Len(t, got, 1) {
						return
					}
					result, err := s.service.Recall(context.Background(), name(i), memory.Query{Vector: []float32{1, 1}, Limit: 100, Exact: true})
					if !assert.NoError(t, err) || !assert.GreaterOrEqual(t, len(result.Hits), min(100, 2*int(n))) {
						return
					}
				}
			})
		}
	}
	group.Wait()
	done.Store(true)
	unloading.Wait()
	for i := range spaces {
		alive, at := s.service.Memories(name(i))
		require.Equal(t, []uint64{2 * rounds, 2 * rounds}, []uint64{alive, uint64(at)})
	}
}

// TestAnUnloadedSpaceIsWrittenDownRight: births, ordinals and deaths of any size come back.
func TestAnUnloadedSpaceIsWrittenDownRight(t *testing.T) {
	tier := fresh.New(3, fresh.L2)
	want := []fresh.Record{{Birth: 1, Ordinal: 7}, {Birth: 2, Ordinal: 1 << 40, Death: 3}, {Birth: 1 << 33, Ordinal: 1<<40 + 1, Death: 1 << 60}}
	for _, r := range want {
		tier.Prepare(fresh.Entry{Vector: []float32{1, 2, 3}, Birth: r.Birth, Ordinal: r.Ordinal})
	}
	tier.Commit()
	for i, r := range want {
		if r.Death != 0 {
			tier.Kill(fresh.Slot(i), r.Death)
		}
	}
	var got []fresh.Record
	require.NoError(t, newUnloaded(&view{tier: tier, merged: newMerged(tier, &epoch.Epochs{})}).each(func(r fresh.Record) error {
		got = append(got, r)
		return nil
	}))
	require.Equal(t, want, got)
}
