package indexbench

import (
	"context"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/engram-stream/engram/internal/memory"
)

// maxFills bounds how often the index is filled while recalls are measured.
const maxFills = 1000

// busy fills an index over and over, until recalls have been measured for long enough, one at least.
func (r *run) busy(ctx context.Context) error {
	var took []time.Duration
	var rates []float64
	for measured := time.Duration(0); (measured < r.config.For || len(took) == 0) && len(rates) < maxFills; {
		err := r.with(ctx, 0, func(p *pipeline) error {
			start := time.Now()
			some, measuring, err := r.recallWhileFilling(ctx, p)
			took, measured = append(took, some...), measured+measuring
			rates = append(rates, float64(r.config.Rows.Len())/time.Since(start).Seconds())
			return err
		})
		if err != nil {
			return err
		}
	}
	r.report.Busy = Busy{PerSecond: r.config.PerS, Fills: len(rates), Inserts: median(rates), Latency: sumUp(took)}
	return nil
}

// recallWhileFilling inserts the whole set, and recalls from when half of it is in until all is. measuring is how long that was.
func (r *run) recallWhileFilling(ctx context.Context, p *pipeline) (took []time.Duration, measuring time.Duration, err error) {
	n := r.config.Rows.Len()
	half, full := make(chan struct{}), make(chan struct{})
	group := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	group.Go(func(ctx context.Context) error {
		defer close(full)
		w := &writing{pipeline: p, batch: r.config.Batch}
		if err := w.insert(ctx, 0, 0, n/2); err != nil {
			return err
		}
		close(half)
		if err := w.insert(ctx, n/2, n/2, n-n/2); err != nil {
			return err
		}
		return p.sync(ctx)
	})
	group.Go(func(ctx context.Context) (err error) {
		select {
		case <-half:
		case <-full:
			return nil
		}
		start := time.Now()
		took, err = r.steadily(ctx, p, full)
		measuring = time.Since(start)
		return err
	})
	err = group.Wait()
	return took, measuring, err
}

// steadily recalls at a steady rate until told to end. A recall that is late begins at once, and what it is late counts.
func (r *run) steadily(ctx context.Context, p *pipeline, end <-chan struct{}) ([]time.Duration, error) {
	var took []time.Duration
	pause := time.Second / time.Duration(r.config.PerS)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; due = due.Add(pause) {
		timer.Reset(time.Until(due))
		select {
		case <-end:
			return took, nil
		case <-timer.C:
		}
		q := len(took) % r.config.Queries.Len()
		if _, err := p.service.Recall(ctx, spaceName, memory.Query{Vector: r.config.Queries.Row(q), Limit: r.config.K}); err != nil {
			return nil, err
		}
		took = append(took, time.Since(due))
	}
}
