package indexbench

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/hnsw"
	"github.com/engram-stream/engram/stages/index/quant"
)

// HNSWConfig says what RunHNSW does.
type HNSWConfig struct {
	Data
	K       int
	M       int   // entries of a list above level 0, which has twice as many, as in the paper
	Build   int   // efConstruction, to begin with: the builder adapts it
	Fixed   bool  // it is set to Build before each batch
	Search  []int // ef of searches
	Batches []int // sizes: a graph is built of each
	Workers int   // that a batch is inserted by; a search has one
	// Keep has each query ask only for the rows that it is true for; nil: for all. Called concurrently.
	Keep func(query int, row uint32) bool
	Say  func(line string)
}

// HNSWReport is what RunHNSW has measured.
type HNSWReport struct {
	Machine Machine `json:"machine"`
	Set     Set     `json:"set"`
	K       int     `json:"k"`
	M       int     `json:"m"`
	Build   int     `json:"ef_construction"`
	Workers int     `json:"workers"`

	// Kept is the share of rows that a query may find, on average: 1 without a filter.
	Kept      float64 `json:"kept"`
	EncodeCPU float64 `json:"encode_cpu_us"` // rotating a vector and making its int8 code, before the graph gets it
	Builds    []Built `json:"builds"`
}

// Built is one graph.
type Built struct {
	Batch     int     `json:"batch"`
	PerSecond float64 `json:"inserts_per_second"`
	CPU       float64 `json:"cpu_us"` // an insert, EncodeCPU left out
	Bytes     float64 `json:"bytes_a_vector"`
	Ef        int     `json:"ef_construction_at_the_end"`

	Searches []Swept `json:"searches"`
}

// Swept is all queries at one ef. What the graph finds by its codes, twice as many as are asked for and some, is compared
// by the vectors, as a recall does it; the time is that of both.
type Swept struct {
	Ef       int     `json:"ef"` // 0: all nodes are compared, by their int8 codes
	Right    float64 `json:"right"`
	ByCodes  float64 `json:"right_by_codes"` // of the first k as the graph ranks them
	Fewest   int     `json:"fewest"`         // hits of a query, of k
	Compared float64 `json:"compared"`       // nodes, a query
	Latency  Latency `json:"latency"`
	CPU      float64 `json:"cpu_us"` // a query, with what checks the answer: a comparison for each hit
}

// rescored is how many of those that the graph finds are compared by their vectors: as a recall has it.
func rescored(k int) int { return 2*k + 12 }

// frameSample is how many vectors the frame of the codes is around.
const frameSample = 1 << 16

// RunHNSW builds the graph tier alone, from codes that are made before, and searches it.
func RunHNSW(ctx context.Context, c HNSWConfig) (*HNSWReport, error) {
	r := &HNSWReport{Machine: thisMachine(), Set: c.set(), K: c.K, M: c.M, Build: c.Build, Workers: c.Workers}
	scorer := vectors.NewScorer(c.Metric, c.Rows)
	c.Say("finding the right answers")
	truth, err := c.truth(ctx, scorer)
	if err != nil {
		return nil, err
	}
	r.Kept = c.kept()
	c.Say("encoding")
	cpu := cpuTime()
	coded := encode(c.Rows, c.Metric == memory.Cosine)
	r.EncodeCPU = micros(cpuTime()-cpu) / float64(c.Rows.Len())
	for _, batch := range c.Batches {
		b, err := c.build(ctx, coded, scorer, truth, batch)
		if err != nil {
			return nil, err
		}
		r.Builds = append(r.Builds, *b)
	}
	return r, nil
}

func (c *HNSWConfig) truth(ctx context.Context, s *vectors.Scorer) (*vectors.Truth, error) {
	if c.Keep == nil || c.known() {
		return (&Config{Data: c.Data, K: c.K}).truth(ctx, s)
	}
	return s.ExactOf(ctx, c.Queries, c.Keep, c.K)
}

// kept returns the share of rows that a query may find.
func (c *HNSWConfig) kept() float64 {
	if c.Keep == nil {
		return 1
	}
	var kept atomic.Int64
	c.Queries.Each(func(q int) {
		n := 0
		for row := range c.Rows.Len() {
			if c.Keep(q, uint32(row)) {
				n++
			}
		}
		kept.Add(int64(n))
	})
	return float64(kept.Load()) / float64(c.Queries.Len()) / float64(c.Rows.Len())
}

// coded is a data set as the graph takes it.
type coded struct {
	scheme *quant.Scheme
	frame  *quant.Frame
	items  []hnsw.Item
}

func encode(rows *vectors.Rows, unit bool) *coded {
	c := &coded{scheme: quant.For(rows.Dimension()), items: make([]hnsw.Item, rows.Len())}
	codes := make([]int8, rows.Len()*c.scheme.Padded())
	scratch := sync.Pool{New: func() any { return &quant.Rotated{} }}
	rows.Each(func(i int) {
		r := scratch.Get().(*quant.Rotated)
		defer scratch.Put(r)
		c.scheme.Rotate(r, rows.Row(i))
		if unit {
			r.Normalize()
		}
		code := codes[i*c.scheme.Padded() : (i+1)*c.scheme.Padded()]
		c.items[i] = hnsw.Item{Slot: uint32(i), Code: code, Factors: quant.EncodeInt8(code, r)}
	})
	c.frame = c.scheme.NewFrame(min(rows.Len(), frameSample), func(i int) ([]int8, quant.Int8) {
		return c.items[i].Code, c.items[i].Factors
	})
	return c
}

func (c *HNSWConfig) build(ctx context.Context, from *coded, scorer *vectors.Scorer, truth *vectors.Truth, batch int) (*Built, error) {
	c.Say("building in batches")
	o := hnsw.Options{Scheme: from.scheme, Frame: from.frame, Degree: 2 * c.M, Unit: c.Metric == memory.Cosine, Measure: hnsw.Distance}
	if c.Metric == memory.Dot {
		o.Measure = hnsw.Inner
	}
	g := hnsw.New(o)
	builder := hnsw.NewBuilder(g, c.Build)
	n := len(from.items)
	start, cpu := time.Now(), cpuTime()
	for i := 0; i < n; i += batch {
		if c.Fixed {
			builder.SetEf(c.Build)
		}
		if _, err := builder.Insert(ctx, from.items[i:min(i+batch, n)], c.Workers); err != nil {
			return nil, err
		}
	}
	b := &Built{
		Batch: batch, PerSecond: float64(n) / time.Since(start).Seconds(), CPU: micros(cpuTime()-cpu) / float64(n),
		Bytes: float64(g.Bytes()) / float64(n), Ef: builder.Ef(),
	}
	efs := c.Search
	if c.Keep != nil {
		efs = append(slices.Clone(efs), 0) // what a filter can do without the graph
	}
	for _, ef := range efs {
		c.Say("searching")
		b.Searches = append(b.Searches, c.sweep(g, ef, scorer, truth))
	}
	return b, ctx.Err()
}

// found is what a search has found, with the score of its vector.
type found struct {
	slot  uint32
	score float32
}

func (c *HNSWConfig) sweep(g *hnsw.Graph, ef int, scorer *vectors.Scorer, truth *vectors.Truth) Swept {
	s := Swept{Ef: ef, Fewest: c.K}
	var took []time.Duration
	right, byCodes, compared := 0, 0, 0
	var searcher hnsw.Searcher
	best := make([]found, 0, rescored(c.K))
	cpu := cpuTime()
	for q := range c.Queries.Len() {
		query := c.Queries.Row(q)
		start := time.Now()
		asked := hnsw.Query{Vector: query, K: rescored(c.K), Ef: ef}
		if c.Keep != nil {
			asked.Keep = func(slot uint32) bool { return c.Keep(q, slot) }
		}
		nodes, n := search(&searcher, g, asked)
		best = best[:0]
		for _, f := range nodes {
			best = append(best, found{f.Slot, scorer.Score(query, int(f.Slot))})
		}
		slices.SortStableFunc(best, func(a, b found) int { return cmp.Compare(b.score, a.score) })
		took = append(took, time.Since(start))
		compared += n
		s.Fewest = min(s.Fewest, len(best))
		for _, f := range best[:min(c.K, len(best))] {
			if truth.Right(q, f.score) {
				right++
			}
		}
		for _, f := range nodes[:min(c.K, len(nodes))] {
			if truth.Right(q, scorer.Score(query, int(f.Slot))) {
				byCodes++
			}
		}
	}
	s.CPU = micros(cpuTime()-cpu) / float64(c.Queries.Len())
	all := c.Queries.Len() * truth.K
	s.Right, s.ByCodes, s.Compared = share(right, all), share(byCodes, all), float64(compared)/float64(c.Queries.Len())
	s.Latency = sumUp(took)
	return s
}

// search is by the graph, or by comparing all where the query has no ef.
func search(s *hnsw.Searcher, g *hnsw.Graph, q hnsw.Query) (nodes []hnsw.Found, compared int) {
	if q.Ef == 0 {
		return s.Exact(g, q)
	}
	return s.Search(g, q)
}
