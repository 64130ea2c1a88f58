package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/memory"
)

func newBenchHNSWCommand(env *environment) *cobra.Command {
	var f dataFlags
	var filter filterFlags
	c := indexbench.HNSWConfig{Say: env.say}
	cmd := &cobra.Command{
		Use: "hnsw", Short: "Measure the graph tier of the index alone",
		Long: "hnsw builds the index's graph of all vectors, once for each size of batches, and asks it for all queries at each ef, one\n" +
			"after the other. What a search finds by its codes is compared by the vectors, as a recall does it, and the time of a\n" +
			"query is that of both. CPU is that of the whole process; making the codes is told apart.\n\n" +
			"With a filter each query asks for some vectors only: those with its label, or one in so many at random. FEWEST is the\n" +
			"hits of the query that got the fewest, and the last line of each graph is what comparing all nodes takes instead.",
		Example: "  engram bench hnsw --count 200000 --m 16 --ef-construction 100 --batches 1,1000\n" +
			"  engram bench hnsw --count 200000 --batches 1000 --keep-one-in 100",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkBenchHNSW(c); err != nil {
				return err
			}
			err := filter.check()
			if err != nil {
				return err
			}
			if c.Data, err = f.load(cmd.Context()); err != nil {
				return err
			}
			if c.Keep, err = filter.keep(c.Data); err != nil {
				return err
			}
			report, err := indexbench.RunHNSW(cmd.Context(), c)
			if err != nil {
				return err
			}
			return env.printer().print(report, func(w io.Writer) { printBenchHNSW(w, report) })
		},
	}
	f.addTo(cmd)
	f.addTruth(cmd)
	filter.addTo(cmd)
	flags := cmd.Flags()
	flags.IntVar(&c.K, "k", memory.DefaultLimit, "hits of a query")
	flags.IntVar(&c.M, "m", 16, "neighbours of a node above level 0, which has twice as many")
	flags.IntVar(&c.Build, "ef-construction", 100, "how many a new node's neighbours are chosen of, to begin with")
	flags.BoolVar(&c.Fixed, "fixed", false, "go back to --ef-construction before each batch, rather than let the builder adapt it")
	flags.IntSliceVar(&c.Search, "ef", []int{32, 64, 128, 256}, "how many of the nearest a search goes on from; at least what is compared by vectors, 2k+12")
	flags.IntSliceVar(&c.Batches, "batches", []int{1, 100, 1000}, "sizes of batches")
	flags.IntVar(&c.Workers, "workers", runtime.GOMAXPROCS(0), "how many insert a batch")
	return cmd
}

func checkBenchHNSW(c indexbench.HNSWConfig) error {
	const most = 1 << 16
	checks := []error{
		withinFlag("k", c.K, 1, memory.MaxRecallLimit), withinFlag("m", c.M, 4, 64), withinFlag("ef-construction", c.Build, 8, most),
		withinFlag("workers", c.Workers, 1, 1024),
	}
	for _, ef := range c.Search {
		checks = append(checks, withinFlag("ef", ef, 1, most))
	}
	for _, batch := range c.Batches {
		checks = append(checks, withinFlag("batches", batch, 1, maxBenchVectors))
	}
	for _, check := range checks {
		if check != nil {
			return check
		}
	}
	return nil
}

func printBenchHNSW(w io.Writer, r *indexbench.HNSWReport) {
	describe(w, r.Machine, r.Set)
	fmt.Fprintf(w, "M %d, efConstruction %d, %s; making a code takes %.2f µs of CPU\n", r.M, r.Build, plural(uint64(r.Workers), "worker"), r.EncodeCPU)
	if r.Kept < 1 {
		fmt.Fprintf(w, "the filter leaves %.2f %% of the vectors to a query\n", 100*r.Kept)
	}
	fmt.Fprintln(w)
	var builds, searches [][]string
	for _, b := range r.Builds {
		builds = append(builds, []string{
			strconv.Itoa(b.Batch), fmt.Sprintf("%.0f", b.PerSecond), fmt.Sprintf("%.1f", b.CPU), fmt.Sprintf("%.0f", b.Bytes), strconv.Itoa(b.Ef),
		})
		for _, s := range b.Searches {
			ef := strconv.Itoa(s.Ef)
			if s.Ef == 0 {
				ef = "all"
			}
			searches = append(searches, []string{
				strconv.Itoa(b.Batch), ef, fmt.Sprintf("%.4f", s.Right), fmt.Sprintf("%.4f", s.ByCodes), strconv.Itoa(s.Fewest), fmt.Sprintf("%.0f", s.Compared),
				fmt.Sprintf("%.0f", s.CPU), fmt.Sprintf("%.0f", s.Latency.P50), fmt.Sprintf("%.0f", s.Latency.P99), strconv.Itoa(s.Latency.N),
			})
		}
	}
	table(w, []string{"BATCH", "INSERTS/S", "CPU µs", "BYTES A VECTOR", "EF AT THE END"}, builds)
	fmt.Fprintln(w)
	table(w, []string{"BATCH", "EF", fmt.Sprintf("RECALL@%d", r.K), "BY CODES", "FEWEST", "COMPARED", "CPU µs", "P50 µs", "P99 µs", "QUERIES"}, searches)
}
