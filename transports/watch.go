package transports

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// watcher is one client that watches a space. It reads its space's feed at its own pace and keeps nothing but its place, so that a slow one costs
// no memory and holds nobody up.
type watcher struct {
	leave context.CancelCauseFunc // ends it; immutable

	// its goroutine's own
	server *Server
	feed   memory.Feed
	kinds  []engramv1.EventKind // empty: all
	send   func(*engramv1.WatchResponse) error
	at     memory.Cursor
	caught bool                // it has been where the space was
	queue  session.CreditState // as last told
	graph  memory.Version      // up to where it was, as last seen
	quiet  time.Time           // since when nothing was sent
}

type watchKey struct{}

// EnterWatch makes room for a watch, before its request is read: it takes one of Limits.Streams. Without an error the
// caller calls Watch with the context, and exit when that has returned.
func (s *Server) EnterWatch(ctx context.Context) (watching context.Context, exit func(), err error) {
	watching, cancel := context.WithCancelCause(ctx)
	w := &watcher{leave: cancel, queue: session.CreditOK}
	if err := s.hub.enterWatch(w, s.limits.Streams); err != nil {
		cancel(err)
		return nil, nil, err
	}
	return context.WithValue(watching, watchKey{}, w), func() { s.hub.exitWatch(w); cancel(nil) }, nil
}

// Watch tells what happens in a space until ctx, which is EnterWatch's, ends, or the space does. It returns why.
func (s *Server) Watch(ctx context.Context, r *engramv1.WatchRequest, send func(*engramv1.WatchResponse) error) error {
	w, ok := ctx.Value(watchKey{}).(*watcher)
	if !ok {
		return fault.New(fault.Internal, "a watch without EnterWatch")
	}
	if err := checkWatch(r); err != nil {
		return err
	}
	feed, err := s.Index.Get().Feed(r.GetSpace())
	if err != nil {
		return err
	}
	w.server, w.feed, w.kinds, w.send, w.quiet = s, feed, r.GetKinds(), send, time.Now()
	if err := w.begin(r); err != nil {
		return err
	}
	err = w.run(ctx)
	if cause := fault.As(context.Cause(ctx)); cause != nil {
		return cause // the server's own reason, rather than that something was cancelled
	}
	return err
}

func checkWatch(r *engramv1.WatchRequest) error {
	if err := Validate(r); err != nil {
		return err
	}
	if r.GetFromStart() && r.GetFromVersion() > 0 {
		return fault.New(fault.InvalidArgument, "from_start and from_version are both given").WithField("from_version").
			WithHint("give one of them, or none to begin now")
	}
	return nil
}

// begin finds the place to begin at, and tells it.
func (w *watcher) begin(r *engramv1.WatchRequest) error {
	published := w.feed.Published()
	switch from := memory.Version(r.GetFromVersion()); {
	case r.GetIncarnation() != 0 && r.GetIncarnation() != w.feed.Incarnation():
		return fault.New(fault.NotFound, "space %q has been deleted since; there is another one of its name", r.GetSpace()).
			WithField("incarnation").WithReason("SPACE_DELETED").WithHint("read the new space, and watch it with incarnation 0")
	case from > published:
		return fault.New(fault.FailedPrecondition, "version %d of space %q is not published yet; the newest is %d", from, r.GetSpace(), published).
			WithField("from_version").WithReason("VERSION_AHEAD").WithHint("resume after a version that this space has told you")
	case from > 0 || r.GetFromStart():
		w.at.Version = from
	default:
		w.at.Version = published
	}
	return w.tell(&engramv1.WatchResponse{Frame: &engramv1.WatchResponse_Started_{Started: &engramv1.WatchResponse_Started{
		Version: uint64(w.at.Version), Incarnation: w.feed.Incarnation(),
	}}})
}

func (w *watcher) run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(fault.Canceled, err, "the watch has ended")
		}
		if err := w.news(ctx); err != nil {
			return err
		}
		if published := w.feed.Published(); w.at.Version < published {
			continue
		}
		w.caught = true
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// news tells what has happened by now, as far as one read goes.
func (w *watcher) news(ctx context.Context) error {
	if behind := w.feed.Published() - w.at.Version; w.caught && behind > maxWatchLag {
		w.at = memory.Cursor{Version: w.at.Version + behind}
		lagged := &engramv1.WatchResponse_Lagged{ResumeVersion: uint64(w.at.Version), Skipped: uint64(behind)}
		if err := w.tell(&engramv1.WatchResponse{Frame: &engramv1.WatchResponse_Lagged_{Lagged: lagged}}); err != nil {
			return err
		}
	}
	events, next, err := w.feed.Read(ctx, w.at, func(k memory.EventKind) bool { return w.wants(engramv1.EventKind(k)) })
	if err != nil {
		return err
	}
	for i := range events {
		if err := w.event(eventToWire(&events[i])); err != nil {
			return err
		}
	}
	w.at = next
	if err := w.graphed(); err != nil {
		return err
	}
	return w.pressure()
}

// graphed tells how far the space's graph is when that has changed, and not before all that it reaches has been told.
func (w *watcher) graphed() error {
	through := w.feed.Graphed()
	if through == w.graph || through > w.at.Version || !w.wants(engramv1.EventKind_EVENT_KIND_GRAPHED) {
		return nil
	}
	w.graph = through
	if through == 0 { // it is being made anew
		return nil
	}
	return w.event(&engramv1.WatchResponse_Event{Kind: engramv1.EventKind_EVENT_KIND_GRAPHED, Version: uint64(through), At: timestamppb.Now()})
}

func (w *watcher) wants(k engramv1.EventKind) bool {
	return len(w.kinds) == 0 || slices.Contains(w.kinds, k)
}

// pressure tells of the queue when its state has changed.
func (w *watcher) pressure() error {
	p := w.server.Admission.Get().Pressure()
	if p.State == w.queue || !w.wants(engramv1.EventKind_EVENT_KIND_BACKPRESSURE) {
		return nil
	}
	w.queue = p.State
	return w.event(&engramv1.WatchResponse_Event{
		Kind: engramv1.EventKind_EVENT_KIND_BACKPRESSURE, At: timestamppb.Now(), QueueState: engramv1.Credit_State(p.State), QueueFill: float32(p.Fill),
	})
}

// wait returns when something may have happened, and sends a heartbeat when nothing has for long.
func (w *watcher) wait(ctx context.Context) error {
	next := w.quiet.Add(heartbeatInterval)
	if w.wants(engramv1.EventKind_EVENT_KIND_BACKPRESSURE) || w.wants(engramv1.EventKind_EVENT_KIND_GRAPHED) {
		next = earlier(next, time.Now().Add(pressureInterval))
	}
	due, cancel := context.WithDeadline(ctx, next)
	defer cancel()
	if err := w.feed.Wait(due, w.at.Version+1); err != nil && due.Err() == nil {
		return err
	}
	if ctx.Err() != nil || time.Since(w.quiet) < heartbeatInterval {
		return nil
	}
	return w.tell(&engramv1.WatchResponse{Frame: &engramv1.WatchResponse_Heartbeat{Heartbeat: &engramv1.Pong{}}})
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *watcher) event(e *engramv1.WatchResponse_Event) error {
	return w.tell(&engramv1.WatchResponse{Frame: &engramv1.WatchResponse_Event_{Event: e}})
}

func (w *watcher) tell(m *engramv1.WatchResponse) error {
	err := w.send(m)
	w.quiet = time.Now()
	return err
}

func eventToWire(e *memory.Event) *engramv1.WatchResponse_Event {
	return &engramv1.WatchResponse_Event{
		Kind: engramv1.EventKind(e.Kind), Version: uint64(e.Version), MemoryIds: e.IDs, At: timeToWire(e.At), More: e.More,
	}
}

// errStopped ends a watch at the server's stop.
func errStopped() error {
	return errShutdown().WithHint("watch again after the version of the last event")
}
