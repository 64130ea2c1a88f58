package indexbench

import (
	"runtime"
	"time"

	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/simd"
	"github.com/engram-stream/engram/stages/index"
)

// Data is what is measured with.
type Data struct {
	Name    string
	Rows    *vectors.Rows
	Queries *vectors.Rows
	Metric  memory.Metric
	// Known are the nearest rows of each query, the nearest first, from a file; nil: they are searched for.
	Known [][]uint32
}

// Config says what Run does.
type Config struct {
	Data
	Batch int // observations in a batch at full speed; at most MaxBatch
	K     int // hits of a recall
	Runs  int // how often the whole set is inserted, for a median
	// Forget is how many rows, the first, are forgotten again before the recalls that are compared with the right answers.
	Forget int
	// Tune changes the index's settings; nil: they are the defaults.
	Tune func(settings *index.Config)
	For  time.Duration // how long recalls are measured while inserts go on, at least
	PerS int           // recalls a second meanwhile
	// Say is told what comes next.
	Say func(line string)
}

// MaxBatch bounds Config.Batch.
const MaxBatch = 10_000

// Machine says where and with what a measurement was made.
type Machine struct {
	Kernels    string `json:"kernels"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	CPUs       int    `json:"cpus"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

func thisMachine() Machine {
	return Machine{
		Kernels: simd.Path(), GOMAXPROCS: runtime.GOMAXPROCS(0), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// Set describes a data set.
type Set struct {
	Name      string `json:"name"`
	Count     int    `json:"count"`
	Queries   int    `json:"queries"`
	Dimension int    `json:"dimension"`
	Metric    string `json:"metric"`
}

func (d *Data) set() Set {
	return Set{
		Name: d.Name, Count: d.Rows.Len(), Queries: d.Queries.Len(), Dimension: d.Rows.Dimension(), Metric: d.Metric.String(),
	}
}
