package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/sourcegraph/conc/pool"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset"
)

// demoRun is one run of the demo over one session.
type demoRun struct {
	env     *environment
	session *client.Session
	rows    []dataset.Row

	committed atomic.Int64 // rows acked so far: written by takeAcks, read by recallMeanwhile
	acks      *hdrhistogram.Histogram
	recalls   *hdrhistogram.Histogram
	report    demoReport
}

type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	N   int64   `json:"n"`
}

type demoReport struct {
	Observations  int     `json:"observations"`
	Dimension     int     `json:"dimension"`
	Seconds       float64 `json:"seconds"`
	PerSecond     float64 `json:"per_second"`
	AckMs         latency `json:"ack_ms"`
	RecallMs      latency `json:"recall_while_streaming_ms"`
	Recalls       int     `json:"recalls_while_streaming"`
	Stale         int     `json:"recalls_that_missed_an_acked_observation"`
	RecallAt10    float64 `json:"recall_at_10"`
	InGraph       float64 `json:"part_of_memories_in_the_graph"`
	FromGraph     float64 `json:"part_of_hits_from_the_graph"`
	Offered       uint64  `json:"offered"`
	Accepted      uint64  `json:"accepted"`
	FinalSequence uint64  `json:"final_sequence"`

	Text *textReport `json:"text"`

	query string
	hits  []client.Hit
}

// Latencies from 1 µs to 1 min, three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Minute.Microseconds(), 3)
}

func summary(h *hdrhistogram.Histogram) latency {
	return latency{P50: float64(h.ValueAtQuantile(50)) / 1000, P99: float64(h.ValueAtQuantile(99)) / 1000, N: h.TotalCount()}
}

func newDemoRun(env *environment, session *client.Session, rows []dataset.Row) *demoRun {
	d := &demoRun{env: env, session: session, rows: rows, acks: newHistogram(), recalls: newHistogram()}
	d.report.Observations, d.report.Dimension = len(rows), len(rows[0].Embedding)
	return d
}

func (d *demoRun) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.stream, d.compare, d.example} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type demoAck struct {
	sent    time.Time
	pending *client.Pending
}

// stream sends all rows; a second goroutine takes the acks, a third recalls on the same stream until all are acked.
func (d *demoRun) stream(ctx context.Context) error {
	start := time.Now()
	sent := make(chan demoAck, len(d.rows))
	done := make(chan struct{})
	p := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	p.Go(func(ctx context.Context) error {
		defer close(sent)
		for i := range d.rows {
			at := time.Now()
			pending, err := d.session.Observe(ctx, observation(&d.rows[i]))
			if err != nil {
				return err
			}
			sent <- demoAck{at, pending}
		}
		return nil
	})
	p.Go(func(ctx context.Context) error {
		defer close(done)
		return d.takeAcks(ctx, sent)
	})
	p.Go(func(ctx context.Context) error { return d.recallMeanwhile(ctx, done) })
	if err := p.Wait(); err != nil {
		return err
	}
	d.report.AckMs, d.report.RecallMs = summary(d.acks), summary(d.recalls)
	d.report.Seconds = time.Since(start).Seconds()
	d.report.PerSecond = float64(len(d.rows)) / d.report.Seconds
	return nil
}

func (d *demoRun) takeAcks(ctx context.Context, sent <-chan demoAck) (err error) {
	bar := newProgress(d.env.stderr, isTerminal(d.env.stderr), int64(len(d.rows)), "streaming")
	defer func() { bar.end(err == nil) }()
	for a := range sent {
		if err := a.pending.Wait(ctx); err != nil {
			return err
		}
		if err := d.acks.RecordValue(time.Since(a.sent).Microseconds()); err != nil {
			return fmt.Errorf("record an ack's latency: %w", err)
		}
		bar.add(d.committed.Add(1))
	}
	return nil
}

// recallMeanwhile asks for the row acked last, over and over: an acked row that its own vector does not find is stale.
func (d *demoRun) recallMeanwhile(ctx context.Context, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		last := d.committed.Load() - 1
		query := d.rows[max(last, 0)]
		start := time.Now()
		answer, err := d.session.Recall(ctx, client.Query{Embedding: query.Embedding, Limit: demoK})
		if notYet := last < 0; notYet && isNotFound(err) {
			continue // nothing was acked yet, so the space may not exist
		}
		if err != nil {
			return err
		}
		if err := d.recalls.RecordValue(time.Since(start).Microseconds()); err != nil {
			return fmt.Errorf("record a recall's latency: %w", err)
		}
		d.report.Recalls++
		if last >= 0 && overlap([]string{query.ID}, hitIDs(answer.Hits)) == 0 {
			d.report.Stale++
		}
	}
}

// compare asks for the k nearest of some rows and counts how many of the true ones came back.
func (d *demoRun) compare(ctx context.Context) error {
	if err := d.awaitGraph(ctx); err != nil {
		return err
	}
	right, graphed, exact := 0, 0, newTruth(d.rows)
	for i := range demoQueries {
		row := i * len(d.rows) / demoQueries
		answer, err := d.session.Recall(ctx, client.Query{Embedding: d.rows[row].Embedding, Limit: demoK})
		if err != nil {
			return err
		}
		right += overlap(exact.nearest(row, demoK), hitIDs(answer.Hits))
		for i := range answer.Hits {
			if answer.Hits[i].Graphed {
				graphed++
			}
		}
	}
	d.report.FromGraph = float64(graphed) / (demoQueries * demoK)
	d.report.RecallAt10 = float64(right) / (demoQueries * demoK)
	return nil
}

// awaitGraph waits until most rows are in the space's graph. Nobody else has to: what is not there yet is scanned.
func (d *demoRun) awaitGraph(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoGraphTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := d.session.Recall(ctx, client.Query{Embedding: d.rows[0].Embedding, Limit: 1})
		if err != nil {
			return err
		}
		d.report.InGraph = float64(answer.GraphedVersion) / float64(answer.Version) // each row is a version
		if d.report.InGraph >= demoInGraph {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the graph has %.0f %% of the memories after %v: %w", 100*d.report.InGraph, demoGraphTimeout, ctx.Err())
		}
	}
}

func (d *demoRun) example(ctx context.Context) error {
	row := d.rows[demoExample]
	answer, err := d.session.Recall(ctx, client.Query{Embedding: row.Embedding, Limit: 5, IncludeContent: true})
	if err != nil {
		return err
	}
	d.report.query, d.report.hits = fmt.Sprintf("%s, %q", row.ID, row.Content), answer.Hits
	return nil
}

func hitIDs(hits []client.Hit) []string {
	ids := make([]string, len(hits))
	for i := range hits {
		ids[i] = hits[i].ID
	}
	return ids
}

// check makes the demo fail where the product broke its word.
func (r *demoReport) check() error {
	n := uint64(r.Observations)
	switch {
	case r.Stale > 0:
		return fmt.Errorf("%d recalls missed an observation that had been acked", r.Stale)
	case r.RecallAt10 < 0.95:
		return fmt.Errorf("recall@10 is %.4f, below 0.95", r.RecallAt10)
	case r.Accepted != n || r.Offered < n || r.FinalSequence != n:
		return fmt.Errorf("%d observations sent, but %d offered, %d accepted, final sequence %d", n, r.Offered, r.Accepted, r.FinalSequence)
	}
	return nil
}

func (r *demoReport) write(w io.Writer) {
	fmt.Fprintf(w, "\n%d observations of %d components in %.2f s over one gRPC stream, each fsynced and findable at its ack\n\n",
		r.Observations, r.Dimension, r.Seconds)
	table(w, []string{"WHAT", "VALUE"}, [][]string{
		{"rate", fmt.Sprintf("%.0f observations/s", r.PerSecond)},
		{"ack", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms (at full speed, the client's buffer included)", r.AckMs.P50, r.AckMs.P99)},
		{"recall while streaming", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms (%d recalls)", r.RecallMs.P50, r.RecallMs.P99, r.Recalls)},
		{"acked but not found", fmt.Sprintf("%d of %d recalls", r.Stale, r.Recalls)},
		{"recall@10", fmt.Sprintf("%.4f against an exact scan (%d queries)", r.RecallAt10, demoQueries)},
		{"graph", fmt.Sprintf("has %.0f %% of the memories; %.0f %% of the hits came from it, %.0f %% from scanning the rest",
			100*r.InGraph, 100*r.FromGraph, 100*(1-r.FromGraph))},
		{"verdicts", fmt.Sprintf("%d offered, %d accepted", r.Offered, r.Accepted)},
	})
	fmt.Fprintf(w, "\nnearest to %s:\n", r.query)
	rows := make([][]string, len(r.hits))
	for i, h := range r.hits {
		rows[i] = []string{fmt.Sprintf("%.4f", h.Score), h.ID, h.Content}
	}
	table(w, []string{"SCORE", "MEMORY", "CONTENT"}, rows)
	r.Text.write(w)
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Code == connect.CodeNotFound
}
