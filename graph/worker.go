package graph

import (
	"context"
	"runtime/pprof"
	"strconv"
	"time"
)

// minFlushWait is the shortest time between two flushes that a holder asks for, so that it cannot spin.
const minFlushWait = 100 * time.Microsecond

// worker is one goroutine of a node with an edge: it takes batches of one lane in order and runs the stage on them.
type worker[In, Out any] struct {
	n     *stageNode[In, Out]
	c     *call[Out]
	ctx   context.Context
	timer *time.Timer // nil for a stage that holds nothing

	due   time.Duration // engine time of the flush that was asked for; 0: none
	fresh bool          // batches were processed since the last flush
}

func (n *stageNode[In, Out]) work(ctx context.Context, lane int) {
	ctx = withLane(ctx, lane)
	ctx = pprof.WithLabels(ctx, pprof.Labels("stage", n.host.name, "lane", strconv.Itoa(lane)))
	pprof.SetGoroutineLabels(ctx)
	w := &worker[In, Out]{n: n, c: newCall(n.host, n.next), ctx: ctx}
	w.c.lane = lane
	if n.flusher != nil {
		w.timer = time.NewTimer(time.Hour)
		defer w.timer.Stop()
		w.timer.Stop()
	}
	for w.step() {
	}
}

// step does one thing: a due flush, a batch, or a wait. It returns false when the lane has ended.
func (w *worker[In, Out]) step() bool {
	if w.due != 0 && w.n.host.engine.now() >= w.due {
		w.flush(FlushTimer)
	}
	in, weight, took := w.n.edge.take(w.c.lane)
	switch took {
	case tookBatch:
		_ = w.n.process(w.ctx, w.c, in, weight) // its items have been settled with it
		w.fresh = true
	case tookNone:
		if w.fresh {
			w.flush(FlushStarved)
		}
		w.wait()
	case tookEnd:
		w.flush(FlushDrain)
		return false
	}
	return true
}

func (w *worker[In, Out]) flush(why FlushReason) {
	w.fresh = false
	if w.n.flusher == nil {
		return
	}
	w.due = 0
	if wait := w.n.flush(w.ctx, w.c, why); wait > 0 {
		wait = max(wait, minFlushWait)
		w.due = w.n.host.engine.now() + wait
		w.timer.Reset(wait)
	}
}

// wait waits for input or for the flush that is due.
func (w *worker[In, Out]) wait() {
	stop := w.n.host.stats.starved.start(w.n.host.engine.now)
	defer stop()
	if w.due == 0 {
		<-w.n.edge.lanes[w.c.lane].wake
		return
	}
	select {
	case <-w.n.edge.lanes[w.c.lane].wake:
	case <-w.timer.C:
	}
}
