package indexbench

import (
	"context"
	"fmt"
	"time"

	"github.com/engram-stream/engram/internal/bench/runbook"
	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/memory"
)

// Played is what Play has measured.
type Played struct {
	Machine Machine `json:"machine"`
	Set     Set     `json:"set"`
	Runbook string  `json:"runbook"`
	K       int     `json:"k"`
	Batch   int     `json:"batch"`

	Searches []Searched `json:"searches"`
	// Right is the mean of the searches, as the track has it.
	Right   float64 `json:"right"`
	Least   float64 `json:"right_at_least"`
	Seconds float64 `json:"seconds"` // of inserts, deletes, replacements and searches, without what checks the answers

	// Rebuilt is an index into which nothing was inserted but what is alive at the end; nil: it was not asked for.
	Rebuilt *Searched `json:"rebuilt,omitempty"`
}

// Searched is a search of all queries, one after the other, and what was done since the one before.
type Searched struct {
	Step     int      `json:"step"`
	Alive    int      `json:"alive"`
	Right    float64  `json:"right"`
	Latency  Latency  `json:"latency"`
	Graphed  float64  `json:"hits_from_the_graph"` // 0 to 1; the others were found by a scan
	Resident Resident `json:"resident"`

	Inserted  int     `json:"inserted"` // replacements too
	Deleted   int     `json:"deleted"`
	PerSecond float64 `json:"changes_per_second"`
	CPU       float64 `json:"cpu_us_a_change"`
}

// PlayConfig says how Play does it.
type PlayConfig struct {
	Data
	Batch, K int
	// Settle has each search wait until nothing more goes into the graph. The time is not counted.
	Settle bool
	// Rebuild has what is alive at the end inserted into another index, and searched there.
	Rebuild bool
	// Say is told what comes next.
	Say func(line string)
}

// Play carries out a runbook that has been checked against the rows.
func Play(ctx context.Context, book *runbook.Runbook, c PlayConfig) (played *Played, err error) {
	ops := 0
	for _, s := range book.Steps {
		ops += s.Tags.Len()
	}
	p := &player{
		settle: c.Settle,
		run:    run{config: Config{Data: c.Data, Batch: c.Batch, K: c.K}, scorer: vectors.NewScorer(c.Metric, c.Rows)},
		rowOf:  make([]uint32, c.Rows.Len()),
		played: Played{Machine: thisMachine(), Set: c.set(), Runbook: book.File, K: c.K, Batch: c.Batch},
	}
	for i := range p.rowOf {
		p.rowOf[i] = forgotten
	}
	err = p.with(ctx, ops, func(index *pipeline) error {
		p.writing = writing{pipeline: index, batch: c.Batch}
		for _, s := range book.Steps {
			c.Say(fmt.Sprintf("step %d of %d: %s", s.Number, len(book.Steps), s.Operation))
			if err := p.step(ctx, s); err != nil {
				return fmt.Errorf("%s:%d: step %d: %w", book.File, s.Line, s.Number, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.sumUp()
	if c.Rebuild {
		c.Say("inserting what is alive into another index")
		if err := p.rebuild(ctx); err != nil {
			return nil, err
		}
	}
	return &p.played, nil
}

// player carries out a runbook.
type player struct {
	run
	settle  bool
	writing writing
	rowOf   []uint32 // by tag; forgotten: it is not alive
	played  Played

	inserted, deleted int // since the last search
	took, used        time.Duration
}

func (p *player) step(ctx context.Context, s runbook.Step) error {
	start, cpu := time.Now(), cpuTime()
	var err error
	switch s.Operation {
	case runbook.Search:
		searched, err := p.search(ctx, s.Number)
		p.played.Searches = append(p.played.Searches, searched)
		return err
	case runbook.Delete:
		err = p.delete(ctx, s.Tags)
	case runbook.Insert, runbook.Replace:
		err = p.insert(ctx, s.Tags, s.IDs)
	}
	if err == nil {
		err = p.writing.pipeline.sync(ctx)
	}
	p.took += time.Since(start)
	p.used += cpuTime() - cpu
	return err
}

// rebuild searches an index that has never held anything but what is alive.
func (p *player) rebuild(ctx context.Context) error {
	var records []record
	for tag, row := range p.rowOf {
		if row != forgotten {
			records = append(records, record{tag: uint32(tag), row: row})
		}
	}
	return p.with(ctx, len(records), func(index *pipeline) error {
		p.writing = writing{pipeline: index, batch: p.played.Batch}
		start, cpu := time.Now(), cpuTime()
		err := p.writing.observe(ctx, len(records), func(i int) record { return records[i] })
		if err == nil {
			err = index.sync(ctx)
		}
		if err != nil {
			return err
		}
		p.inserted, p.deleted, p.took, p.used = len(records), 0, time.Since(start), cpuTime()-cpu
		seconds := p.played.Seconds
		rebuilt, err := p.search(ctx, 0)
		p.played.Rebuilt, p.played.Seconds = &rebuilt, seconds
		return err
	})
}

func (p *player) insert(ctx context.Context, tags, ids runbook.Range) error {
	for i := range tags.Len() {
		p.rowOf[tags.Start+i] = uint32(ids.Start + i)
	}
	p.inserted += tags.Len()
	return p.writing.insert(ctx, tags.Start, ids.Start, tags.Len())
}

func (p *player) delete(ctx context.Context, tags runbook.Range) error {
	p.deleted += tags.Len()
	for tag := tags.Start; tag < tags.End; tag++ {
		p.rowOf[tag] = forgotten
	}
	return p.writing.forget(ctx, tags.Start, tags.End)
}

// search asks for all queries, and only then finds the right answers among what is alive.
func (p *player) search(ctx context.Context, step int) (s Searched, err error) {
	if p.settle {
		if err := p.merged(ctx, p.writing.pipeline, &Merging{}); err != nil {
			return s, err
		}
	}
	s = Searched{Step: step, Inserted: p.inserted, Deleted: p.deleted, Resident: resident()}
	if changes := float64(p.inserted + p.deleted); changes > 0 {
		s.PerSecond, s.CPU = changes/p.took.Seconds(), micros(p.used)/changes
	}
	p.played.Seconds += p.took.Seconds()
	p.inserted, p.deleted, p.took, p.used = 0, 0, 0, 0
	queries := p.config.Queries.Len()
	took, answers := make([]time.Duration, queries), make([][]memory.Hit, queries)
	for q := range took {
		if answers[q], took[q], err = p.ask(ctx, p.writing.pipeline, q); err != nil {
			return s, err
		}
		p.played.Seconds += took[q].Seconds()
	}
	s.Latency, s.Graphed = sumUp(took), graphed(answers)
	s.Right, s.Alive, err = p.check(ctx, answers)
	return s, err
}

// graphed returns the part of hits that were found by a graph.
func graphed(answers [][]memory.Hit) float64 {
	n, all := 0, 0
	for _, hits := range answers {
		all += len(hits)
		for _, h := range hits {
			if h.State == memory.Graphed {
				n++
			}
		}
	}
	return float64(n) / float64(max(all, 1))
}

// check returns how many of the right answers came.
func (p *player) check(ctx context.Context, answers [][]memory.Hit) (right float64, alive int, err error) {
	among := []uint32{}
	for _, row := range p.rowOf {
		if row != forgotten {
			among = append(among, row)
		}
	}
	truth, err := p.scorer.Exact(ctx, p.config.Queries, among, p.config.K)
	if err != nil {
		return 0, 0, err
	}
	found := 0
	for q, hits := range answers {
		n, err := count(hits, func(tag uint32) bool {
			row := p.rowOf[tag]
			return row != forgotten && truth.Right(q, p.scorer.Score(p.config.Queries.Row(q), int(row)))
		})
		if err != nil {
			return 0, 0, err
		}
		found += n
	}
	return share(found, len(answers)*truth.K), len(among), nil
}

func (p *player) sumUp() {
	if len(p.played.Searches) == 0 {
		return
	}
	p.played.Least = 1
	for _, s := range p.played.Searches {
		p.played.Right += s.Right / float64(len(p.played.Searches))
		p.played.Least = min(p.played.Least, s.Right)
	}
}
