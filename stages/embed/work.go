package embed

import (
	"context"
	"errors"
	"time"

	"github.com/sourcegraph/conc/panics"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// work is a job with a worker on it.
type work struct {
	*job
	by   string        // the embedder's identity
	done chan struct{} // closed when the worker has left vectors or err

	vectors [][]float32
	err     error
}

// begin starts jobs while there are workers for them. A job without texts is done at once, with the next collect.
func (l *lane) begin() {
	for len(l.lines.ready) > 0 && l.stage.hire() {
		l.start(l.lines.next())
	}
}

func (s *stage) hire() bool {
	if s.busy.Add(1) > int64(s.config.Workers) {
		s.busy.Add(-1)
		return false
	}
	return true
}

func (l *lane) start(j *job) {
	embedder := l.stage.embedding.Get().Embedder()
	w := &work{job: j, done: make(chan struct{})}
	l.work = append(l.work, w)
	l.since = time.Now()
	s := l.stage
	s.workers.Go(func() {
		defer close(w.done)
		defer s.busy.Add(-1)
		w.embed(s.working, embedder)
	})
}

// embed runs on the worker's goroutine.
func (w *work) embed(ctx context.Context, embedder memory.Embedder) {
	if len(w.texts) == 0 {
		return
	}
	if embedder == nil {
		w.err = fault.New(fault.Internal, "a text came to a server without an embedder")
		return
	}
	w.by = embedder.Identity()
	if caught := panics.Try(func() { w.vectors, w.err = embedder.Embed(ctx, w.texts) }); caught != nil {
		w.err = fault.Wrap(fault.Internal, caught.AsError(), "embedder %q", w.by)
	}
	if w.err == nil && len(w.vectors) != len(w.texts) {
		w.err = fault.New(fault.Internal, "embedder %q made %d vectors of %d texts", w.by, len(w.vectors), len(w.texts))
	}
}

// collect sends on what is embedded by now, each session's in its order.
func (l *lane) collect(ctx context.Context) (err error) {
	under := l.work[:0]
	for _, w := range l.work {
		select {
		case <-w.done:
			err = firstError(err, l.finish(ctx, w))
		default:
			under = append(under, w)
		}
	}
	clear(l.work[len(under):])
	if len(under) < len(l.work) {
		l.since = time.Now()
	}
	l.work = under
	return err
}

// finish gives the ops of a job their vectors, or refuses their line.
func (l *lane) finish(ctx context.Context, w *work) (err error) {
	bad, some := asBadTexts(w.err)
	if w.err != nil && !some {
		l.refuse(w)
		return nil
	}
	n := 0
	for _, e := range l.lines.leave(w.job) {
		for i := range e.batch.Items {
			if op := &e.batch.Items[i]; lacksVector(op) {
				if why, isBad := bad[n]; isBad {
					reject(op, why)
					e.batch.Mark(i, uint8(session.Rejected))
				} else {
					op.Observe.Vector, op.Embedder = w.vectors[n], w.by
				}
				n++
			}
		}
		err = firstError(err, l.send(ctx, e.batch))
	}
	return err
}

func reject(op *session.Op, why string) {
	op.Kind, op.Observe = memory.OpRejected, nil
	op.Rejection = &memory.Rejection{Code: fault.InvalidArgument.Code(), Field: "content", Reason: why}
}

// refuse takes nothing of a line: its numbers go back, from the lowest on.
func (l *lane) refuse(w *work) {
	gone := l.lines.drop(w.job)
	refusal := refusalOf(w.err)
	refusal.Expected = gone[0].batch.Items[0].Sequence
	for _, e := range gone {
		refusal.Expected = min(refusal.Expected, e.batch.Items[0].Sequence)
	}
	l.stage.warn(w)
	for _, e := range gone {
		e.batch.RejectLive(refusal)
	}
}

func (s *stage) warn(w *work) {
	now, last := time.Now().UnixNano(), s.warned.Load()
	if now-last >= int64(warnEvery) && s.warned.CompareAndSwap(last, now) {
		s.logger.Warn("observations are not taken: their texts could not be embedded",
			"space", w.line.from.Space, "session", w.line.from.SessionID, "error", w.err)
	}
}

// refusalOf says what a failure means for the ops that waited: to be sent again, unless it is a bug.
func refusalOf(err error) *session.Refusal {
	f := fault.As(err)
	if f == nil || f.Kind == fault.Internal {
		return &session.Refusal{Verdict: session.Aborted, Cause: err}
	}
	if f.Kind == fault.Canceled { // by the stage, which nobody else can tell
		err = fault.New(fault.Unavailable, "the server stops before the text is embedded").WithReason("SHUTDOWN").
			WithHint("send it again to the next server")
	}
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Retry: max(f.RetryAfter, fullRetry), Late: true, Cause: err,
	}
}

// drain finishes everything that waits: what is not embedded in time is nacked.
func (l *lane) drain(ctx context.Context) (err error) {
	giveUp := time.NewTimer(drainPatience)
	defer giveUp.Stop()
	for {
		err = firstError(err, l.collect(ctx))
		l.begin()
		if len(l.lines.of) == 0 {
			return err
		}
		if len(l.work) == 0 { // other lanes have all the workers
			select {
			case <-time.After(minLook):
			case <-giveUp.C:
				l.stage.stop()
			case <-ctx.Done():
				l.stage.stop()
			}
			continue
		}
		select {
		case <-l.work[0].done:
		case <-giveUp.C:
			l.stage.stop()
		case <-ctx.Done():
			l.stage.stop()
			<-l.work[0].done
		}
	}
}

func asBadTexts(err error) (memory.BadTexts, bool) { return errors.AsType[memory.BadTexts](err) }
