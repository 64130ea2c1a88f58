package graph

import (
	"context"
	"runtime/pprof"
	"strconv"
	"time"
)

// minFlushWait is the shortest time between two flushes that a holder asks for, so that it cannot spin.
const minFlushWait = 100 * time.Microsecond

// worker is one goroutine of a node with an edge: it takes the batches that the edge's schedule gives it, and runs the
// stage on them.
type worker[In, Out any] struct {
	n     *stageNode[In, Out]
	c     *call[Out]
	lanes []context.Context // what the stage's code gets, by its lane: that of a key which was taken over is another
	timer *time.Timer       // nil for a stage that holds nothing
	seat  *seat
	line  *keyline[In] // of the last batch, if the schedule wants it back

	due   time.Duration // engine time of the flush that was asked for; 0: none
	fresh bool          // batches were processed since the last flush
}

func (n *stageNode[In, Out]) work(ctx context.Context, seat *seat) {
	ctx = pprof.WithLabels(ctx, pprof.Labels("stage", n.host.name, "lane", strconv.Itoa(seat.desk)))
	pprof.SetGoroutineLabels(ctx)
	w := &worker[In, Out]{n: n, c: newCall(n.host, n.next), seat: seat}
	for lane := range n.host.lanes {
		w.lanes = append(w.lanes, withLane(ctx, lane))
	}
	if n.flusher != nil {
		w.timer = time.NewTimer(time.Hour)
		defer w.timer.Stop()
		w.timer.Stop()
	}
	for w.step() {
	}
}

// step does one thing: a due flush, a batch, or a wait. It returns false when there is nothing left to do.
func (w *worker[In, Out]) step() bool {
	if w.due != 0 && w.n.host.engine.now() >= w.due {
		w.flush(FlushTimer)
	}
	var next queued[In]
	var took taken
	next, w.line, took = w.n.edge.take(w.seat, w.line)
	switch took {
	case tookBatch:
		w.process(next)
	case tookNone:
		if w.fresh {
			w.flush(FlushStarved)
		}
		w.wait(&w.n.host.stats.starved)
	case tookFull:
		w.wait(&w.n.host.stats.blocked)
	case tookEnd:
		w.flush(FlushDrain)
		return false
	}
	return true
}

func (w *worker[In, Out]) process(next queued[In]) {
	key, host := next.route.Key, w.n.host
	w.seat.hand.take(key, host.engine.now())
	w.c.route = next.route.onward()
	_ = w.n.process(w.lanes[w.c.route.Lane], w.c, next.batch, next.weight) // its items have been settled with it
	now := host.engine.now()
	if since := w.seat.hand.put(now); key != "" {
		host.busy.add(key, since, now)
	}
	w.fresh = true
}

func (w *worker[In, Out]) flush(why FlushReason) {
	w.fresh = false
	if w.n.flusher == nil {
		return
	}
	w.due = 0
	w.c.route = Route{Lane: w.seat.desk}
	if wait := w.n.flush(w.lanes[w.seat.desk], w.c, why); wait > 0 {
		wait = max(wait, minFlushWait)
		w.due = w.n.host.engine.now() + wait
		w.timer.Reset(wait)
	}
}

// wait waits for something to take or for the flush that is due.
func (w *worker[In, Out]) wait(why *Meter) {
	why.Begin(w.n.host.engine.now())
	defer func() { why.End(w.n.host.engine.now()) }()
	if w.due == 0 {
		<-w.seat.wake
		return
	}
	select {
	case <-w.seat.wake:
	case <-w.timer.C:
	}
}
