package transports

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// feed has an event at each version, stored at the odd ones.
type feed struct {
	mu      sync.Mutex
	version memory.Version // guarded by mu
	graphed memory.Version // guarded by mu
	failure error          // guarded by mu
	changed chan struct{}  // guarded by mu
}

func newFeed(version memory.Version) *feed {
	return &feed{version: version, changed: make(chan struct{})}
}

func (f *feed) change(by memory.Version, failure error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version += by
	f.failure = failure
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) now() (version memory.Version, changed <-chan struct{}, failure error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version, f.changed, f.failure
}

func (f *feed) Incarnation() uint64 { return 3 }

func (f *feed) Published() memory.Version { v, _, _ := f.now(); return v }

func (f *feed) Graphed() memory.Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.graphed
}

// graph moves the space's graph, which wakes nobody.
func (f *feed) graph(to memory.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.graphed = to
}

func (f *feed) Read(_ context.Context, at memory.Cursor, wanted func(memory.EventKind) bool) ([]memory.Event, memory.Cursor, error) {
	version, _, failure := f.now()
	if failure != nil || at.Version >= version {
		return nil, at, failure
	}
	at.Version++
	e := memory.Event{Kind: memory.Forgotten, Version: at.Version, IDs: []string{fmt.Sprint("m", at.Version)}, At: time.Unix(5, 0)}
	if at.Version%2 == 1 {
		e.Kind = memory.Stored
	}
	if !wanted(e.Kind) {
		return nil, at, nil
	}
	return []memory.Event{e}, at, nil
}

func (f *feed) Wait(ctx context.Context, v memory.Version) error {
	for {
		version, changed, failure := f.now()
		if failure != nil || version >= v {
			return failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watching is a watcher whose client a test is.
type watching struct {
	got    chan *engramv1.WatchResponse
	gate   chan struct{} // closed: the client reads
	ended  chan error
	cancel context.CancelFunc
}

func (h *harness) watch(t *testing.T, r *engramv1.WatchRequest) *watching {
	t.Helper()
	r.Space = "faces"
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{got: make(chan *engramv1.WatchResponse, 1<<17), gate: make(chan struct{}), ended: make(chan error, 1), cancel: cancel}
	close(w.gate)
	watching, exit, err := h.EnterWatch(ctx)
	if err != nil {
		w.ended <- err
		return w
	}
	go func() {
		defer exit()
		w.ended <- h.Watch(watching, r, func(m *engramv1.WatchResponse) error {
			<-w.gate
			w.got <- m
			return nil
		})
	}()
	synctest.Wait()
	return w
}

// told returns what has come by now, in short.
func (w *watching) told() (all []string) {
	synctest.Wait()
	for {
		select {
		case m := <-w.got:
			all = append(all, inShort(m))
		default:
			return all
		}
	}
}

func inShort(m *engramv1.WatchResponse) string {
	switch f := m.GetFrame().(type) {
	case *engramv1.WatchResponse_Started_:
		return fmt.Sprintf("started %d of %d", f.Started.GetVersion(), f.Started.GetIncarnation())
	case *engramv1.WatchResponse_Event_:
		if f.Event.GetKind() == engramv1.EventKind_EVENT_KIND_BACKPRESSURE {
			return fmt.Sprintf("queue %s %.1f", f.Event.GetQueueState(), f.Event.GetQueueFill())
		}
		return fmt.Sprintf("%s %d %v", f.Event.GetKind(), f.Event.GetVersion(), f.Event.GetMemoryIds())
	case *engramv1.WatchResponse_Lagged_:
		return fmt.Sprintf("lagged to %d over %d", f.Lagged.GetResumeVersion(), f.Lagged.GetSkipped())
	case *engramv1.WatchResponse_Heartbeat:
		return "heartbeat"
	}
	return "nothing"
}

func TestAWatchTellsWhatHappensFromWhereItIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		request *engramv1.WatchRequest
		want    []string
	}{
		"from now":       {&engramv1.WatchRequest{}, []string{"started 3 of 3", "EVENT_KIND_FORGOTTEN 4 [m4]"}},
		"from a version": {&engramv1.WatchRequest{FromVersion: 2}, []string{"started 2 of 3", "EVENT_KIND_STORED 3 [m3]", "EVENT_KIND_FORGOTTEN 4 [m4]"}},
		"from the newest": {&engramv1.WatchRequest{FromVersion: 3, Incarnation: 3}, []string{
			"started 3 of 3", "EVENT_KIND_FORGOTTEN 4 [m4]",
		}},
		"of a kind": {&engramv1.WatchRequest{FromStart: true, Kinds: []engramv1.EventKind{engramv1.EventKind_EVENT_KIND_STORED}}, []string{
			"started 0 of 3", "EVENT_KIND_STORED 1 [m1]", "EVENT_KIND_STORED 3 [m3]",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, f := newHarness(), newFeed(3)
				h.index.feed = f
				w := h.watch(t, c.request)
				defer w.cancel()
				f.change(1, nil)
				assert.Equal(t, c.want, w.told())
				time.Sleep(heartbeatInterval)
				assert.Equal(t, []string{"heartbeat"}, w.told())
				time.Sleep(heartbeatInterval - time.Second)
				assert.Empty(t, w.told())
			})
		})
	}
}

func TestAWatchIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		request *engramv1.WatchRequest
		kind    fault.Kind
		says    string
	}{
		"version ahead":       {&engramv1.WatchRequest{FromVersion: 4}, fault.FailedPrecondition, "4 of space \"faces\" is not published yet; the newest is 3"},
		"another incarnation": {&engramv1.WatchRequest{Incarnation: 2}, fault.NotFound, "deleted"},
		"both":                {&engramv1.WatchRequest{FromVersion: 1, FromStart: true}, fault.InvalidArgument, "from_start"},
		"no kind":             {&engramv1.WatchRequest{Kinds: []engramv1.EventKind{0}}, fault.InvalidArgument, "kinds"},
		"unknown kind":        {&engramv1.WatchRequest{Kinds: []engramv1.EventKind{9}}, fault.InvalidArgument, "kinds"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness()
				h.index.feed = newFeed(3)
				err := <-h.watch(t, c.request).ended
				require.Equal(t, c.kind, fault.KindOf(err), "%v", err)
				assert.ErrorContains(t, err, c.says)
			})
		})
	}
}

// A watcher that has caught up and then falls far behind is told how much it misses; one that reads history on request
// reads all of it.
func TestASlowWatcherIsToldWhatItMisses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newHarness(), newFeed(maxWatchLag+9)
		h.index.feed = f
		w := h.watch(t, &engramv1.WatchRequest{FromStart: true})
		defer w.cancel()
		assert.Len(t, w.told(), 1+maxWatchLag+9)
		w.gate = make(chan struct{})
		f.change(1, nil)
		synctest.Wait()
		f.change(maxWatchLag+1, nil)
		close(w.gate)
		assert.Equal(t, []string{
			fmt.Sprintf("EVENT_KIND_FORGOTTEN %d [m%d]", maxWatchLag+10, maxWatchLag+10),
			fmt.Sprintf("lagged to %d over %d", 2*maxWatchLag+11, maxWatchLag+1),
		}, w.told())
		f.change(1, nil)
		assert.Len(t, w.told(), 1, "and it goes on")
	})
}

func TestAWatchTellsOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness()
		h.index.feed = newFeed(0)
		h.gauge.set(session.Pressure{State: session.CreditSlowDown, Fill: 0.8})
		w := h.watch(t, &engramv1.WatchRequest{})
		defer w.cancel()
		deaf := h.watch(t, &engramv1.WatchRequest{Kinds: []engramv1.EventKind{engramv1.EventKind_EVENT_KIND_STORED}})
		defer deaf.cancel()
		assert.Equal(t, []string{"started 0 of 3", "queue STATE_SLOW_DOWN 0.8"}, w.told())
		h.gauge.set(calm())
		time.Sleep(pressureInterval)
		assert.Equal(t, []string{"queue STATE_OK 0.0"}, w.told())
		assert.Len(t, deaf.told(), 1)
	})
}

// TestAWatchTellsOfTheGraph: as it moves, and never ahead of what has been told; a space without one has none.
func TestAWatchTellsOfTheGraph(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newHarness(), newFeed(4)
		h.index.feed = f
		w := h.watch(t, &engramv1.WatchRequest{Kinds: []engramv1.EventKind{engramv1.EventKind_EVENT_KIND_GRAPHED}})
		defer w.cancel()
		deaf := h.watch(t, &engramv1.WatchRequest{Kinds: []engramv1.EventKind{engramv1.EventKind_EVENT_KIND_STORED}})
		defer deaf.cancel()
		time.Sleep(time.Second)
		assert.Equal(t, []string{"started 4 of 3"}, w.told(), "it has no graph")
		for _, step := range []struct {
			through memory.Version
			want    []string
		}{
			{2, []string{"EVENT_KIND_GRAPHED 2 []"}},
			{4, []string{"EVENT_KIND_GRAPHED 4 []"}},
			{4, nil},
			{5, nil}, // the watch is not there yet
			{0, nil}, // made anew
			{3, []string{"EVENT_KIND_GRAPHED 3 []"}},
		} {
			f.graph(step.through)
			time.Sleep(pressureInterval)
			assert.Equal(t, step.want, w.told(), "%d", step.through)
		}
		assert.Equal(t, []string{"started 4 of 3"}, deaf.told())
		late := h.watch(t, &engramv1.WatchRequest{FromStart: true})
		defer late.cancel()
		assert.Equal(t, []string{
			"started 0 of 3", "EVENT_KIND_STORED 1 [m1]", "EVENT_KIND_FORGOTTEN 2 [m2]", "EVENT_KIND_STORED 3 [m3]", "EVENT_KIND_GRAPHED 3 []",
			"EVENT_KIND_FORGOTTEN 4 [m4]",
		}, late.told())
	})
}

// A watch takes a place among the streams, and gives it back however it ends.
func TestAWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newHarness(), newFeed(0)
		h.index.feed = f
		var all []*watching
		for range h.limits.Streams {
			all = append(all, h.watch(t, &engramv1.WatchRequest{}))
		}
		err := <-h.watch(t, &engramv1.WatchRequest{}).ended
		require.Equal(t, fault.ResourceExhausted, fault.KindOf(err))
		assert.Positive(t, fault.As(err).RetryAfter)

		all[0].cancel()
		require.Equal(t, fault.Canceled, fault.KindOf(<-all[0].ended))
		f.change(0, fault.New(fault.NotFound, "it was deleted"))
		require.ErrorContains(t, <-all[1].ended, "deleted")
		require.ErrorContains(t, <-all[2].ended, "deleted")
		f.change(0, nil)
		synctest.Wait()
		last := h.watch(t, &engramv1.WatchRequest{})
		require.Zero(t, h.hub.Leave(t.Context()))
		err = <-last.ended
		require.Equal(t, fault.Unavailable, fault.KindOf(err))
		assert.Positive(t, fault.As(err).RetryAfter)
		err = <-h.watch(t, &engramv1.WatchRequest{}).ended
		require.Equal(t, "SHUTDOWN", fault.As(err).Reason)
	})
}

// A watch that begins as the server ends is refused or told: none goes on behind the end.
func TestAWatchThatBeginsAsTheServerEndsIsToldSo(t *testing.T) {
	for range 3000 {
		h := newHarness()
		var entering sync.WaitGroup
		for range 2 {
			entering.Go(func() {
				ctx, exit, err := h.EnterWatch(t.Context())
				if err != nil {
					return
				}
				defer exit()
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
					t.Error("nobody has told it")
				}
			})
		}
		entering.Go(func() { h.hub.Leave(t.Context()) })
		entering.Wait()
		if t.Failed() {
			return
		}
	}
}
