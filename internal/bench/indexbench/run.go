package indexbench

import (
	"context"
	"fmt"
	"time"

	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
)

const (
	singleSize  = 100
	singleTurns = 50
	// drainTime bounds how long an index may take to stop.
	drainTime = 30 * time.Second
)

// Run inserts a data set some times, and measures. An error of ctx says that it was broken off.
func Run(ctx context.Context, c Config) (*Report, error) {
	scorer := vectors.NewScorer(c.Metric, c.Rows)
	c.Say("finding the right answers")
	truth, err := c.truth(ctx, scorer)
	if err != nil {
		return nil, err
	}
	r := &run{config: c, scorer: scorer, truth: truth}
	r.report = Report{Machine: thisMachine(), Set: c.set(), Batch: c.Batch, K: c.K}
	r.report.Memory.Before = resident()
	for i := range c.Runs {
		c.Say(fmt.Sprintf("inserting, run %d of %d", i+1, c.Runs))
		if err := r.filled(ctx, i+1 == c.Runs); err != nil {
			return nil, err
		}
	}
	c.Say("recalling while inserts go on")
	if err := r.busy(ctx); err != nil {
		return nil, err
	}
	return &r.report, nil
}

func (d *Data) known() bool { return d.Known != nil }

func (c *Config) truth(ctx context.Context, s *vectors.Scorer) (*vectors.Truth, error) {
	if !c.known() {
		return s.Exact(ctx, c.Queries, nil, c.K)
	}
	t, err := s.Known(c.Queries, c.Known, c.K)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "").WithHint("leave the ground truth away: it is computed then")
	}
	return t, nil
}

type run struct {
	config Config
	scorer *vectors.Scorer
	truth  *vectors.Truth
	report Report
}

// with runs use with an index that is empty, and stops it after. more is how many ops come beside the whole set.
func (r *run) with(ctx context.Context, more int, use func(*pipeline) error) error {
	p, err := begin(ctx, r.config.Rows, r.config.Metric, r.config.Rows.Len()+more)
	if err != nil {
		return err
	}
	useErr := use(p)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := p.end(drain); useErr == nil {
		return err
	}
	return useErr
}

// filled inserts the whole set at full speed, and nothing else goes on; what is measured of a full index is, in the last run.
func (r *run) filled(ctx context.Context, last bool) error {
	return r.with(ctx, 2*singleTurns*singleSize, func(p *pipeline) error {
		n := r.config.Rows.Len()
		w := &writing{pipeline: p, batch: r.config.Batch}
		start, cpu := time.Now(), cpuTime()
		if err := w.insert(ctx, 0, 0, n); err != nil {
			return err
		}
		if err := p.sync(ctx); err != nil {
			return err
		}
		took, used := time.Since(start), cpuTime()-cpu
		i := &r.report.Insert
		i.PerSecond = append(i.PerSecond, float64(n)/took.Seconds())
		i.CPU = append(i.CPU, micros(used)/float64(n))
		i.MedianPerSecond, i.MedianCPU = median(i.PerSecond), median(i.CPU)
		if !last {
			return nil
		}
		return r.full(ctx, p, w)
	})
}

func (r *run) full(ctx context.Context, p *pipeline, w *writing) error {
	r.config.Say("waiting until nothing more goes into the graph")
	if err := r.merged(ctx, p); err != nil {
		return err
	}
	m := &r.report.Memory
	m.Resident = resident()
	m.PerRow = float64(m.Resident.Own-m.Before.Own)/float64(r.config.Rows.Len()) - recordBytes
	r.config.Say("recalling, with nothing else going on")
	if err := r.idle(ctx, p); err != nil {
		return err
	}
	r.config.Say("inserting in a batch of 100, and one by one")
	return r.single(ctx, p, w)
}

// idle asks for each query once, after some that warm up.
func (r *run) idle(ctx context.Context, p *pipeline) error {
	const warm = 20
	for q := range min(warm, r.config.Queries.Len()) {
		if _, _, err := r.ask(ctx, p, q); err != nil {
			return err
		}
	}
	took := make([]time.Duration, r.config.Queries.Len())
	right := 0
	for q := range took {
		var hits []memory.Hit
		var err error
		if hits, took[q], err = r.ask(ctx, p, q); err != nil {
			return err
		}
		n, err := count(hits, func(tag uint32) bool { return r.truth.Right(q, r.scorer.Score(r.config.Queries.Row(q), int(tag))) })
		if err != nil {
			return err
		}
		right += n
	}
	r.report.Recall = Recalling{Right: share(right, len(took)*r.truth.K), Latency: sumUp(took)}
	return nil
}

func (r *run) ask(ctx context.Context, p *pipeline, q int) ([]memory.Hit, time.Duration, error) {
	start := time.Now()
	result, err := p.service.Recall(ctx, spaceName, memory.Query{Vector: r.config.Queries.Row(q), Limit: r.config.K})
	return result.Hits, time.Since(start), err
}

// count counts the hits that are right; one that came twice is an error.
func count(hits []memory.Hit, right func(tag uint32) bool) (int, error) {
	n := 0
	seen := make(map[uint32]bool, len(hits))
	for _, h := range hits {
		tag, err := tagOf(h.ID)
		if err != nil {
			return 0, err
		}
		if seen[tag] {
			return 0, fault.New(fault.Internal, "a recall has found %s twice", h.ID)
		}
		seen[tag] = true
		if right(tag) {
			n++
		}
	}
	return n, nil
}

// share is 1 of nothing: all that there was to find has been found.
func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// single inserts rows again under new tags, in turn as a batch and one by one, each when the one before is findable.
func (r *run) single(ctx context.Context, p *pipeline, w *writing) error {
	var batches, singles []time.Duration
	n := r.config.Rows.Len()
	insert := func(size, times, turn int) (time.Duration, error) {
		w.batch = size
		start := time.Now()
		for i := range times {
			if err := w.insert(ctx, p.journal.len(), (turn*singleSize+i*size)%max(n-singleSize, 1), size); err != nil {
				return 0, err
			}
			if err := p.sync(ctx); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}
	if n < singleSize {
		return nil
	}
	for turn := range singleTurns {
		batch, err := insert(singleSize, 1, turn)
		if err != nil {
			return err
		}
		each, err := insert(1, singleSize, turn)
		if err != nil {
			return err
		}
		batches, singles = append(batches, batch), append(singles, each)
	}
	s := Single{Size: singleSize, Turns: singleTurns, BatchUs: micros(median(batches)), EachUs: micros(median(singles))}
	s.Times = s.EachUs / s.BatchUs
	r.report.Single = s
	return nil
}
