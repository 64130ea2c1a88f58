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
	r, err := prepared(ctx, c)
	if err != nil {
		return nil, err
	}
	for i := range c.Runs {
		c.Say(fmt.Sprintf("inserting, run %d of %d", i+1, c.Runs))
		then := r.full
		if i+1 < c.Runs {
			then = nil
		}
		if err := r.filled(ctx, then); err != nil {
			return nil, err
		}
	}
	c.Say("recalling while inserts go on")
	if err := r.busy(ctx); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// prepared finds the right answers, and notes what is held before anything is inserted.
func prepared(ctx context.Context, c Config) (*run, error) {
	scorer := vectors.NewScorer(c.Metric, c.Rows)
	c.Say("finding the right answers")
	truth, err := c.truth(ctx, scorer)
	if err != nil {
		return nil, err
	}
	r := &run{config: c, scorer: scorer, truth: truth}
	r.report = Report{Machine: thisMachine(), Set: c.set(), Batch: c.Batch, K: c.K}
	r.report.Memory.Before = resident()
	return r, nil
}

func (d *Data) known() bool { return d.Known != nil }

func (c *Config) truth(ctx context.Context, s *vectors.Scorer) (*vectors.Truth, error) {
	if !c.known() {
		var among []uint32 // nil: all
		for row := c.Forget; c.Forget > 0 && row < c.Rows.Len(); row++ {
			among = append(among, uint32(row))
		}
		return s.Exact(ctx, c.Queries, among, c.K)
	}
	t, err := s.Known(c.Queries, c.Known, c.K)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "").WithHint("leave the ground truth away: it is computed then")
	}
	for q := range c.Queries.Len() {
		for _, row := range c.Known[q][:c.K] {
			if int(row) < c.Forget {
				return nil, fault.New(fault.InvalidArgument, "the ground truth names row %d for query %d, which is forgotten", row, q)
			}
		}
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
	p, err := begin(ctx, r.config, r.config.Rows.Len()+more)
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

// filled inserts the whole set at full speed, and nothing else goes on; then, if it is not nil, measures what is full.
func (r *run) filled(ctx context.Context, then func(context.Context, *pipeline, *writing) error) error {
	return r.with(ctx, 2*singleTurns*singleSize+r.config.Forget, func(p *pipeline) error {
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
		if then == nil {
			return nil
		}
		return then(ctx, p, w)
	})
}

func (r *run) full(ctx context.Context, p *pipeline, w *writing) error {
	if err := r.settled(ctx, p); err != nil {
		return err
	}
	if err := r.forget(ctx, p, w); err != nil {
		return err
	}
	r.config.Say("recalling, with nothing else going on")
	if err := r.idle(ctx, p); err != nil {
		return err
	}
	r.config.Say("inserting in a batch of 100, and one by one")
	return r.single(ctx, p, w)
}

// settled waits for the graph, and says what is held then.
func (r *run) settled(ctx context.Context, p *pipeline) error {
	r.config.Say("waiting until nothing more goes into the graph")
	if err := r.merged(ctx, p, &r.report.Merge); err != nil {
		return err
	}
	m := &r.report.Memory
	m.Resident = resident()
	m.PerRow = float64(m.Resident.Own-m.Before.Own)/float64(r.config.Rows.Len()) - recordBytes
	return nil
}

// forget forgets the first rows, if that is asked for, and waits for the graph to be rid of them.
func (r *run) forget(ctx context.Context, p *pipeline, w *writing) error {
	f := Forgetting{Count: r.config.Forget}
	if f.Count == 0 {
		return nil
	}
	r.config.Say("forgetting, and waiting until the graph is at rest")
	start, cpu := time.Now(), cpuTime()
	if err := w.forget(ctx, 0, f.Count); err != nil {
		return err
	}
	if err := p.sync(ctx); err != nil {
		return err
	}
	f.PerSecond, f.CPU = float64(f.Count)/time.Since(start).Seconds(), micros(cpuTime()-cpu)/float64(f.Count)
	cpu = cpuTime()
	if err := r.merged(ctx, p, &Merging{}); err != nil {
		return err
	}
	f.Rest = micros(cpuTime()-cpu) / float64(f.Count)
	r.report.Forget = f
	return nil
}

// idle asks for each query once, after some that warm up.
func (r *run) idle(ctx context.Context, p *pipeline) error {
	const warm = 20
	for q := range min(warm, r.config.Queries.Len()) {
		if _, _, err := r.ask(ctx, p, q); err != nil {
			return err
		}
	}
	queries := r.config.Queries.Len()
	took, answers := make([]time.Duration, queries), make([][]memory.Hit, queries)
	cpu := cpuTime()
	for q := range took {
		var err error
		if answers[q], took[q], err = r.ask(ctx, p, q); err != nil {
			return err
		}
	}
	used := cpuTime() - cpu
	right := 0
	for q, hits := range answers {
		n, err := count(hits, func(tag uint32) bool {
			return int(tag) >= r.config.Forget && r.truth.Right(q, r.scorer.Score(r.config.Queries.Row(q), int(tag)))
		})
		if err != nil {
			return err
		}
		right += n
	}
	r.report.Recall = Recalling{Right: share(right, queries*r.truth.K), Latency: sumUp(took), CPU: micros(used) / float64(queries)}
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
