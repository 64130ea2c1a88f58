package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// NoticeKind tells what a Notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	// NoticeStarted is the first: what follows happened after Version.
	NoticeStarted NoticeKind = iota + 1
	// NoticeStored: the memories IDs were stored, the last of them at Version.
	NoticeStored
	// NoticeForgotten: the memories IDs were forgotten at Version.
	NoticeForgotten
	// NoticeLagged: this watcher was too slow, and Skipped versions, up to Version, are not told. Read the space again.
	NoticeLagged
	// NoticeQueue: the server's queue changed its state to Queue.
	NoticeQueue
	// NoticeGraphed: the space's graph has what was told up to Version. Small spaces have no graph, and no such notice.
	NoticeGraphed
)

// String returns the kind in a word.
func (k NoticeKind) String() string {
	names := [...]string{"unknown", "started", "stored", "forgotten", "lagged", "queue", "graphed"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// QueueState is how full the server is.
type QueueState uint8

// The states of the server's queue.
const (
	QueueOK       QueueState = 1
	QueueSlowDown QueueState = 2 // it is filling: writers are asked for less
	QueueFull     QueueState = 3 // writers are turned away for a while
)

// String returns "ok", "slow down" or "full".
func (q QueueState) String() string {
	names := [...]string{"unknown", "ok", "slow down", "full"}
	if int(q) < len(names) {
		return names[q]
	}
	return names[0]
}

// Notice is something that happened in a space. Its kind says which fields are set.
type Notice struct {
	Kind    NoticeKind
	Version uint64
	IDs     []string // up to 256
	At      time.Time
	Skipped uint64
	Queue   QueueState
	Fill    float32 // of the queue, 0 to 1

	// Resume is what a program that begins again gives as WatchOptions.From, to go on behind this notice. A forget of many
	// memories comes in several notices; Resume is behind it with the last of them only.
	Resume uint64
}

// WatchOptions say what to watch. The zero value watches all that happens from now on.
type WatchOptions struct {
	From      uint64 // begin after this version
	FromStart bool   // begin with all that there is; not together with From
	// Kinds are NoticeStored, NoticeForgotten, NoticeQueue and NoticeGraphed; none means all of them. NoticeStarted and NoticeLagged come
	// anyway.
	Kinds []NoticeKind
	// OnEvent is told of EventConnected, each time that the server tells where it begins, and of EventDisconnected, each
	// time that it is tried again; between notices, by the goroutine that takes them.
	OnEvent func(Event)
}

// Watch yields what happens in a space, in version order, as soon as recalls find it, and never holds writers up. It goes
// on behind what it has told when the connection breaks or the server restarts, for as long as ctx lives. It ends with an
// error, which is yielded with an empty notice: at once if it cannot begin, and later if ctx ends or the space is deleted
// (NotFound).
func (c *Client) Watch(ctx context.Context, space string, o WatchOptions) iter.Seq2[Notice, error] {
	return func(yield func(Notice, error) bool) {
		w := &watcher{client: c, request: &engramv1.WatchRequest{
			Space: space, FromVersion: o.From, FromStart: o.FromStart, Kinds: kindsToWire(o.Kinds),
		}, yield: yield, onEvent: o.OnEvent}
		var pause backoff
		for {
			before := w.resume
			err := w.follow(ctx)
			if w.left {
				return
			}
			e := w.ended(err)
			if !w.started || final(e) || ctx.Err() != nil {
				yield(Notice{}, e)
				return
			}
			if w.resume > before {
				pause.reset()
			}
			delay := max(pause.next(), e.RetryAfter)
			w.tell(Event{Kind: EventDisconnected, Err: e, After: delay})
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
		}
	}
}

func kindsToWire(kinds []NoticeKind) (out []engramv1.EventKind) {
	for _, k := range kinds {
		switch k {
		case NoticeStored:
			out = append(out, engramv1.EventKind_EVENT_KIND_STORED)
		case NoticeForgotten:
			out = append(out, engramv1.EventKind_EVENT_KIND_FORGOTTEN)
		case NoticeQueue:
			out = append(out, engramv1.EventKind_EVENT_KIND_BACKPRESSURE)
		case NoticeGraphed:
			out = append(out, engramv1.EventKind_EVENT_KIND_GRAPHED)
		default: // the server says that it is none
			out = append(out, engramv1.EventKind_EVENT_KIND_UNSPECIFIED)
		}
	}
	return out
}

// watcher is one Watch, over its streams.
type watcher struct {
	client  *Client
	request *engramv1.WatchRequest // of the next stream
	yield   func(Notice, error) bool
	onEvent func(Event)
	started bool   // something has been yielded
	resume  uint64 // everything up to this version has been
	left    bool   // the caller wants no more
}

// ended says why a stream ended. A space that was there, and is not, was deleted.
func (w *watcher) ended(err error) *Error {
	e := w.client.describe("watch", err)
	if w.started && e.Reason == reasonNoSpace {
		return e.because(fmt.Sprintf("the space %q has been deleted", w.request.GetSpace()))
	}
	return e
}

func (w *watcher) tell(e Event) {
	if w.onEvent != nil {
		w.onEvent(e)
	}
}

// follow reads one stream to its end, and returns why it ended.
func (w *watcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // the stream too, when the caller wants no more
	silent := w.client.unanswered("watch", cancel)
	defer silent.Stop()
	err := w.read(ctx, silent)
	if cause, ok := errors.AsType[*Error](context.Cause(ctx)); ok && err != nil {
		return cause
	}
	return err
}

// read takes what a stream brings, and stops the timer with the first of it.
func (w *watcher) read(ctx context.Context, silent *time.Timer) error {
	stream, err := w.client.flow.Watch(ctx, connect.NewRequest(w.request))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		silent.Stop()
		if n, ok := w.notice(stream.Msg()); ok && !w.yield(n, nil) {
			w.left = true
			return nil
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF // a server ends a watch with a reason
}

// notice reads a frame; false: it tells the caller nothing. It keeps where the next stream begins.
func (w *watcher) notice(m *engramv1.WatchResponse) (n Notice, ok bool) {
	switch f := m.GetFrame().(type) {
	case *engramv1.WatchResponse_Started_:
		ok = !w.started
		w.started = true
		w.request.Incarnation = f.Started.GetIncarnation()
		w.behind(f.Started.GetVersion())
		w.tell(Event{Kind: EventConnected, Sequence: w.resume})
		n = Notice{Kind: NoticeStarted, Version: w.resume}
	case *engramv1.WatchResponse_Lagged_:
		ok = true
		w.behind(f.Lagged.GetResumeVersion())
		n = Notice{Kind: NoticeLagged, Version: w.resume, Skipped: f.Lagged.GetSkipped()}
	case *engramv1.WatchResponse_Event_:
		n, ok = w.event(f.Event)
	}
	n.Resume = w.resume
	return n, ok
}

func (w *watcher) event(e *engramv1.WatchResponse_Event) (n Notice, ok bool) {
	n = Notice{Version: e.GetVersion(), IDs: e.GetMemoryIds()}
	if t := e.GetAt(); t != nil {
		n.At = t.AsTime()
	}
	switch e.GetKind() {
	case engramv1.EventKind_EVENT_KIND_STORED:
		n.Kind = NoticeStored
	case engramv1.EventKind_EVENT_KIND_FORGOTTEN:
		n.Kind = NoticeForgotten
	case engramv1.EventKind_EVENT_KIND_BACKPRESSURE:
		n.Kind, n.Queue, n.Fill = NoticeQueue, QueueState(e.GetQueueState()), e.GetQueueFill()
		return n, true
	case engramv1.EventKind_EVENT_KIND_GRAPHED:
		n.Kind = NoticeGraphed
		return n, true // of what was told before: the watch is behind that
	default:
		return n, false // of a server that knows more
	}
	if !e.GetMore() {
		w.behind(e.GetVersion())
	}
	return n, true
}

// behind notes that the next stream begins after a version.
func (w *watcher) behind(version uint64) {
	w.resume = version
	w.request.FromVersion, w.request.FromStart = version, version == 0
}
