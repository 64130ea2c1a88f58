package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/memory"
)

func newBenchDimensionsCommand(env *environment) *cobra.Command {
	f := dataFlags{dataset: syntheticName}
	c := indexbench.DimensionsConfig{Say: env.say}
	cmd := &cobra.Command{
		Use: "dimensions", Short: "Measure whether memory and time grow in proportion to the dimension",
		Long: "dimensions measures the index with " + syntheticName + " vectors of several dimensions, in turn: memory with everything\n" +
			"in the graph, CPU of an insert until it is findable, and of a recall that compares all, both without a graph; CPU that the\n" +
			"graph takes on top of an insert, and of a recall that goes by it; and how many of the right answers come, by a scan and\n" +
			"with the graph. Beside each cost, in brackets, is how many times it is what it would be in proportion to --base.\n\n" +
			"What runs is what engram bench index measures. CPU is that of the whole process.",
		Example: "  engram bench dimensions --count 100000 --dimensions 384,768,1536",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkBenchDimensions(c); err != nil {
				return err
			}
			c.Data = func(dimension int) (indexbench.Data, error) {
				f.dimension = dimension
				return f.load(cmd.Context())
			}
			report, err := indexbench.RunDimensions(cmd.Context(), c)
			if err != nil {
				return err
			}
			return env.printer().print(report, func(w io.Writer) { printBenchDimensions(w, report) })
		},
	}
	f.addShape(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.count, "count", defaultCount, "how many vectors of each dimension")
	flags.IntSliceVar(&c.Dimensions, "dimensions", []int{384, 768, 784, 1024, 1536}, "components of a vector")
	flags.IntVar(&c.Base, "base", defaultDim, "the dimension that the others are compared with; one of --dimensions")
	flags.IntVar(&c.Batch, "batch", 256, "observations in a batch")
	flags.IntVar(&c.K, "k", memory.DefaultLimit, "hits of a recall")
	flags.IntVar(&c.Runs, "runs", 3, "how often each dimension is measured; the least counts")
	return cmd
}

func checkBenchDimensions(c indexbench.DimensionsConfig) error {
	checks := []error{
		withinFlag("batch", c.Batch, 1, indexbench.MaxBatch), withinFlag("k", c.K, 1, memory.MaxRecallLimit), withinFlag("runs", c.Runs, 1, maxBenchRuns),
	}
	for _, dimension := range c.Dimensions {
		checks = append(checks, withinFlag("dimensions", dimension, 1, memory.MaxDimension))
	}
	for _, check := range checks {
		if check != nil {
			return check
		}
	}
	if !slices.Contains(c.Dimensions, c.Base) {
		return usageError("--base %d is none of --dimensions", c.Base)
	}
	return nil
}

func printBenchDimensions(w io.Writer, r *indexbench.Dimensions) {
	describe(w, r.Machine, r.Set)
	rows := make([][]string, len(r.Each))
	for i, s := range r.Each {
		cell := func(digits int, value, times float64) string { return fmt.Sprintf("%.*f (%.2f)", digits, value, times) }
		rows[i] = []string{
			strconv.Itoa(s.Dimension), cell(0, s.Costs.Bytes, s.Times.Bytes), cell(1, s.Costs.Insert, s.Times.Insert),
			cell(1, s.Costs.Graph, s.Times.Graph), cell(2, s.Costs.Scan, s.Times.Scan), cell(0, s.Costs.Recall, s.Times.Recall),
			fmt.Sprintf("%.4f", s.Scanned), fmt.Sprintf("%.4f", s.Right),
		}
	}
	table(w, []string{
		"DIMENSION", "BYTES", "µs UNTIL FINDABLE", "µs INTO THE GRAPH", "ns SCANNED", "µs A RECALL",
		fmt.Sprintf("RECALL@%d BY SCAN", r.K), fmt.Sprintf("RECALL@%d", r.K),
	}, rows)
	fmt.Fprintf(w, "\nall a vector, but for a recall; µs and ns of CPU, the least of %s; in brackets: times what is in proportion to %d components\n",
		plural(uint64(r.Runs), "run"), r.Base)
}
