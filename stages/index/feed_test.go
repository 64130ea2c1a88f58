package index

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

// watch reads a feed from some version to its end: each event is told once, in order, whatever fits into one; and whoever
// begins again behind an event that nothing of is left gets the rest.
func (m *machine) watch(t *rapid.T) {
	space := rapid.SampledFrom(modelSpaces).Draw(t, "space")
	sp := m.stage.index.space(space)
	if sp == nil {
		return
	}
	f := newFeed(sp, m.server())
	f.ids, f.perRead = rapid.IntRange(1, 4).Draw(t, "ids"), rapid.IntRange(1, 9).Draw(t, "reads")
	kinds := rapid.SampledFrom([][]memory.EventKind{{memory.Stored}, {memory.Forgotten}, {memory.Stored, memory.Forgotten}}).Draw(t, "kinds")
	wanted := func(k memory.EventKind) bool { return slices.Contains(kinds, k) }
	at := memory.Cursor{Version: memory.Version(rapid.Uint64Range(0, uint64(m.spaces[space].version)).Draw(t, "from"))}
	var want []modelEvent
	for _, e := range m.spaces[space].events {
		if e.version > at.Version && wanted(e.kind) {
			want = append(want, e)
		}
	}
	for at.Version < f.Published() {
		events, next, err := f.Read(context.Background(), at, wanted)
		require.NoError(t, err)
		require.True(t, next.Version > at.Version || next.Version == at.Version && next.Told > at.Told, "it goes on")
		for _, e := range events {
			want = requireTold(t, want, e, f.ids)
		}
		if at = next; rapid.Bool().Draw(t, "resumes") && at.Told == 0 && len(events) > 0 {
			at = memory.Cursor{Version: max(at.Version, events[len(events)-1].Version)}
		}
	}
	require.Empty(t, want)
}

// requireTold checks an event against those that come next, and returns the others.
func requireTold(t *rapid.T, want []modelEvent, e memory.Event, most int) []modelEvent {
	n := len(e.IDs)
	require.NotZero(t, n)
	require.LessOrEqual(t, n, most)
	require.LessOrEqual(t, n, len(want))
	last := want[n-1]
	require.Equal(t, []any{last.kind, last.version, last.at}, []any{e.Kind, e.Version, e.At})
	if e.Kind == memory.Forgotten { // in the order in which they were named, which the model does not keep
		same := 0
		for same < len(want) && want[same].kind == e.Kind && want[same].version == e.Version {
			same++
		}
		require.Equal(t, e.More, same > n)
		for _, id := range e.IDs {
			place := slices.IndexFunc(want[:same], func(w modelEvent) bool { return w.id == id })
			require.GreaterOrEqual(t, place, 0)
			want = slices.Delete(slices.Clone(want), place, place+1)
			same--
		}
		return want
	}
	for i, id := range e.IDs {
		require.Equal(t, modelEvent{e.Kind, want[i].version, id, want[i].at}, want[i])
	}
	return want[n:]
}

// A feed is read while its space is written: nothing is told before it is published, or twice, or never.
func TestAFeedIsReadWhileItsSpaceIsWritten(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	process(t, s, j.append(at("x"), durable(), observe("first", 1, 0))...)
	f, err := s.service.Feed("x")
	require.NoError(t, err)
	const batches = 200
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			stored, forgotten := map[string]bool{}, map[string]bool{}
			for at := (memory.Cursor{}); at.Version < 1+4*batches; {
				if !noError(t, f.Wait(t.Context(), at.Version+1)) {
					return
				}
				events, next, err := f.Read(context.Background(), at, func(memory.EventKind) bool { return true })
				if !noError(t, err) {
					return
				}
				at = next
				for _, e := range events {
					for _, id := range e.IDs {
						told := map[memory.EventKind]map[string]bool{memory.Stored: stored, memory.Forgotten: forgotten}[e.Kind]
						if told[id] || e.Kind == memory.Forgotten && !stored[id] {
							t.Errorf("%s is told twice, or forgotten before it is stored", id)
						}
						told[id] = true
					}
				}
			}
			if len(stored) != 1+3*batches || len(forgotten) != batches {
				t.Errorf("%d stored and %d forgotten", len(stored), len(forgotten))
			}
		})
	}
	for i := range batches {
		process(t, s, j.append(at("x"), durable(), observe(numbered(3*i), 1, 0), observe(numbered(3*i+1), 0, 1), forget(numbered(3*i)), observe(numbered(3*i+2), 1, 1))...)
	}
	readers.Wait()
}

func noError(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// Whoever watches a space that is not written to yet waits for its first event, and learns that it is deleted.
func TestAFeedOfAnEmptySpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		_, err := s.service.Feed("x")
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		j.createSpace("x", 2, memory.Dot)
		f, err := s.service.Feed("x")
		require.NoError(t, err)
		require.Zero(t, f.Published())
		waited := make(chan error)
		go func() { waited <- f.Wait(context.Background(), 1) }()
		synctest.Wait()
		process(t, s, j.append(at("x"), durable(), observe("one", 1, 0))...)
		require.NoError(t, <-waited)
		events, next, err := f.Read(context.Background(), memory.Cursor{}, func(memory.EventKind) bool { return true })
		require.NoError(t, err)
		require.Equal(t, []memory.Event{{Kind: memory.Stored, Version: 1, IDs: []string{"one"}}}, events)
		go func() { waited <- f.Wait(context.Background(), next.Version+1) }()
		synctest.Wait()
		j.deleteSpace("x", true)
		require.Equal(t, fault.NotFound, fault.KindOf(<-waited))
		_, _, err = f.Read(context.Background(), memory.Cursor{}, func(memory.EventKind) bool { return true })
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, fault.NotFound, fault.KindOf(f.Wait(short, 9)))
	})
}
