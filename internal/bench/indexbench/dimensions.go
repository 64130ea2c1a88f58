package indexbench

import (
	"context"
	"fmt"
	"slices"

	"github.com/engram-stream/engram/stages/index"
)

// DimensionsConfig says what RunDimensions does.
type DimensionsConfig struct {
	Dimensions []int
	Base       int // of them, the one that the others are compared with
	// Data makes the vectors of a dimension: as many, as far apart, for each.
	Data     func(dimension int) (Data, error)
	Batch, K int
	Runs     int // how often each is measured
	Say      func(line string)
}

// Dimensions is what RunDimensions has measured.
type Dimensions struct {
	Machine Machine `json:"machine"`
	Set     Set     `json:"set"` // of the base
	K       int     `json:"k"`
	Base    int     `json:"base"`
	Runs    int     `json:"runs"`
	Each    []Sized `json:"each"`
}

// Sized is one dimension. An index without a graph, and one with the default settings, are filled with the same vectors.
type Sized struct {
	Dimension int `json:"dimension"`

	Costs Costs `json:"costs"`
	// Times are the costs divided by those of the base, and by how many times its components a vector has: 1 is in proportion.
	Times Costs `json:"times_in_proportion"`

	Scanned float64 `json:"right_by_scan"` // of the k nearest, how many came: 0 to 1
	Right   float64 `json:"right"`         // with the graph
}

// Costs are those of a vector: the least of all runs, since others on the same cores only add to them. Of an insert and of a
// scan they are measured without a graph, and the graph's are what comes on top of an insert, with what it takes to look how
// far it is.
type Costs struct {
	Bytes  float64 `json:"bytes"`
	Insert float64 `json:"cpu_us_until_findable"`
	Graph  float64 `json:"cpu_us_into_the_graph"`
	Scan   float64 `json:"cpu_ns_scanned"`  // all of a recall, divided by how many vectors there are
	Recall float64 `json:"cpu_us_a_recall"` // by the graph
}

// RunDimensions measures what of the index grows with the dimension, and whether it does so in proportion. The dimensions take
// turns, so that what else goes on meanwhile falls on all of them.
func RunDimensions(ctx context.Context, c DimensionsConfig) (*Dimensions, error) {
	report := &Dimensions{Machine: thisMachine(), K: c.K, Base: c.Base, Runs: c.Runs, Each: make([]Sized, len(c.Dimensions))}
	runs := make([]*run, len(c.Dimensions))
	for i, dimension := range c.Dimensions {
		d, err := c.Data(dimension)
		if err != nil {
			return nil, err
		}
		if dimension == c.Base {
			report.Set = d.set()
		}
		report.Each[i].Dimension = dimension
		say := func(line string) { c.Say(fmt.Sprintf("%d components: %s", dimension, line)) }
		if runs[i], err = prepared(ctx, Config{Data: d, Batch: c.Batch, K: c.K, Say: say}); err != nil {
			return nil, err
		}
	}
	for turn := range c.Runs {
		c.Say(fmt.Sprintf("run %d of %d", turn+1, c.Runs))
		for i, r := range runs {
			if err := r.size(ctx, &report.Each[i], turn == 0); err != nil {
				return nil, err
			}
		}
	}
	base := report.Each[slices.Index(c.Dimensions, c.Base)].Costs
	for i := range report.Each {
		s := &report.Each[i]
		s.Times = s.Costs.over(base, float64(s.Dimension)/float64(c.Base))
	}
	return report, nil
}

// size measures one dimension, and keeps what is less than before.
func (r *run) size(ctx context.Context, s *Sized, first bool) error {
	var c Costs
	r.report = Report{}
	r.config.Tune = func(settings *index.Config) { settings.GraphFrom = 0 }
	r.config.Say("inserting, without a graph")
	err := r.filled(ctx, func(ctx context.Context, p *pipeline, _ *writing) error { return r.idle(ctx, p) })
	if err != nil {
		return err
	}
	s.Scanned, c.Insert, c.Scan = r.report.Recall.Right, r.report.Insert.MedianCPU, 1000*r.report.Recall.CPU/float64(r.config.Rows.Len())

	r.report, r.config.Tune = Report{}, nil
	r.report.Memory.Before = resident()
	r.config.Say("inserting, with a graph")
	err = r.filled(ctx, func(ctx context.Context, p *pipeline, _ *writing) error {
		if err := r.settled(ctx, p); err != nil {
			return err
		}
		return r.idle(ctx, p)
	})
	if err != nil {
		return err
	}
	s.Right, c.Recall, c.Bytes = r.report.Recall.Right, r.report.Recall.CPU, r.report.Memory.PerRow
	c.Graph = r.report.Insert.MedianCPU + r.report.Merge.CPU - c.Insert
	if !first {
		c = c.least(s.Costs)
	}
	s.Costs = c
	return nil
}

// least is the less of each.
func (c Costs) least(other Costs) Costs {
	return Costs{
		Bytes: min(c.Bytes, other.Bytes), Insert: min(c.Insert, other.Insert), Graph: min(c.Graph, other.Graph),
		Scan: min(c.Scan, other.Scan), Recall: min(c.Recall, other.Recall),
	}
}

// over divides each by another's, and by a number.
func (c Costs) over(base Costs, times float64) Costs {
	of := func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return a / b / times
	}
	return Costs{
		Bytes: of(c.Bytes, base.Bytes), Insert: of(c.Insert, base.Insert), Graph: of(c.Graph, base.Graph),
		Scan: of(c.Scan, base.Scan), Recall: of(c.Recall, base.Recall),
	}
}
