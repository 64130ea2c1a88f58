package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/bench/vectors"
	"github.com/engram-stream/engram/internal/dataset"
	"github.com/engram-stream/engram/internal/memory"
)

func newBenchCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure the index in this process, on data of yours or made for it",
		Long: "bench measures without a server: what inserts cost, what recalls take, and how many of the right answers they give.\n" +
			"docs/benchmarks has what was measured so, and on what.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchIndexCommand(env), newBenchHNSWCommand(env), newBenchRunbookCommand(env), newBenchDimensionsCommand(env),
		newBenchDatasetCommand(env))
	return cmd
}

// The default data set, and the limits of one.
const (
	syntheticName   = "synthetic"
	defaultCount    = 100_000
	defaultDim      = 768
	defaultQueries  = 1000
	maxBenchVectors = 1 << 27
)

// dataFlags say what is measured with.
type dataFlags struct {
	dataset, queries, truth, orderBy, metric string
	count, queryCount, dimension             int
	seed                                     uint64
}

func (f *dataFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", syntheticName, "a file of vectors, of the kinds that engram observe reads, or "+syntheticName)
	flags.StringVar(&f.queries, "queries", "", "a file of vectors to ask for (default: those behind the ones that are inserted)")
	flags.IntVar(&f.count, "count", 0, fmt.Sprintf("how many vectors to insert (default: all of a file, %d of %s)", defaultCount, syntheticName))
	flags.IntVar(&f.dimension, "dimension", defaultDim, "components of a "+syntheticName+" vector")
	f.addShape(cmd)
}

// addShape adds the flags of those who make vectors in any case.
func (f *dataFlags) addShape(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.queryCount, "query-count", defaultQueries, "how many to ask for, at most")
	flags.Uint64Var(&f.seed, "seed", 0, "the same seed makes the same "+syntheticName+" vectors")
	flags.StringVar(&f.metric, "metric", memory.Cosine.String(), "what vectors are compared by: cosine, dot or l2")
}

// addTruth adds the flag of those who insert all and then ask.
func (f *dataFlags) addTruth(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.truth, "truth", "", "an .ivecs file with the nearest of each query (default: they are computed)")
}

func (f *dataFlags) check() (memory.Metric, error) {
	metrics := []memory.Metric{memory.Cosine, memory.Dot, memory.L2}
	at := slices.IndexFunc(metrics, func(m memory.Metric) bool { return m.String() == f.metric })
	switch {
	case at < 0:
		return 0, usageError("--metric %q: give cosine, dot or l2", f.metric)
	case f.count < 0 || f.count > maxBenchVectors:
		return 0, usageError("--count %d is not within 0 to %d", f.count, maxBenchVectors)
	case f.queryCount < 1 || f.queryCount > maxBenchVectors:
		return 0, usageError("--query-count %d is not within 1 to %d", f.queryCount, maxBenchVectors)
	case f.dimension < 1 || f.dimension > memory.MaxDimension:
		return 0, usageError("--dimension %d is not within 1 to %d", f.dimension, memory.MaxDimension)
	case f.dataset == syntheticName && f.queries != "":
		return 0, usageError("--queries goes with a --dataset of your own; %s vectors have queries of their kind", syntheticName)
	}
	return metrics[at], nil
}

// load reads or makes the data set.
func (f *dataFlags) load(ctx context.Context) (d indexbench.Data, err error) {
	if d.Metric, err = f.check(); err != nil {
		return d, err
	}
	d.Name = f.dataset
	if d.Rows, d.Queries, err = f.rows(ctx); err != nil {
		return d, &exitError{code: exitUsage, err: err}
	}
	if d.Queries.Dimension() != d.Rows.Dimension() {
		return d, usageError("%s has vectors of %d components, and %s of %d: give queries of the same kind",
			f.queries, d.Queries.Dimension(), f.dataset, d.Rows.Dimension())
	}
	if f.truth != "" {
		d.Known, err = readTruth(f.truth)
	}
	return d, err
}

func (f *dataFlags) rows(ctx context.Context) (rows, queries *vectors.Rows, err error) {
	if f.dataset == syntheticName {
		count := f.count
		if count == 0 {
			count = defaultCount
		}
		all, err := vectors.Synthetic(f.dimension, count+f.queryCount, f.seed)
		if err != nil {
			return nil, nil, err
		}
		return all.Part(0, count), all.Part(count, count+f.queryCount), nil
	}
	if f.queries != "" {
		if queries, err = vectors.Load(ctx, f.queries, f.queryCount); err != nil {
			return nil, nil, err
		}
		rows, err = f.ordered(ctx, f.count)
		return rows, queries, err
	}
	limit := 0
	if f.count > 0 {
		limit = f.count + f.queryCount
	}
	all, err := f.ordered(ctx, limit)
	if err != nil {
		return nil, nil, err
	}
	n := all.Len() - f.queryCount
	if n < 1 {
		return nil, nil, fmt.Errorf("%s has %d vectors, and the last %d would be the queries: give --queries, or a smaller --query-count",
			f.dataset, all.Len(), f.queryCount)
	}
	return all.Part(0, n), all.Part(n, all.Len()), nil
}

// ordered loads the data set, in the order of its labels if that is asked for.
func (f *dataFlags) ordered(ctx context.Context, limit int) (*vectors.Rows, error) {
	rows, err := vectors.Load(ctx, f.dataset, limit)
	if err != nil || f.orderBy == "" {
		return rows, err
	}
	labels, err := readFile(f.orderBy, dataset.ReadLabels)
	if err != nil {
		return nil, err
	}
	if len(labels) < rows.Len() {
		return nil, fmt.Errorf("%s has %d labels, and %s %d vectors", f.orderBy, len(labels), f.dataset, rows.Len())
	}
	order := make([]int, rows.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(labels[a]) - int(labels[b]) })
	return rows.Ordered(order)
}

func readTruth(file string) ([][]uint32, error) {
	known, err := readFile(file, dataset.ReadIvecs)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	return known, nil
}

// readFile reads a file as a whole.
func readFile[T any](file string, read func(name string, in io.Reader) (T, error)) (value T, err error) {
	f, err := os.Open(file)
	if err != nil {
		return value, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return read(file, f)
}

// say tells on standard error what goes on; in silence for machines.
func (e *environment) say(line string) {
	if !e.json {
		fmt.Fprintln(e.stderr, "engram: "+line)
	}
}

func withinFlag(name string, value, least, most int) error {
	if value < least || value > most {
		return usageError("--%s %d is not within %d to %d", name, value, least, most)
	}
	return nil
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// describe is the line above a table of measurements.
func describe(w io.Writer, m indexbench.Machine, s indexbench.Set) {
	fmt.Fprintf(w, "%s: %d vectors of %d components, %d queries, %s\n", s.Name, s.Count, s.Dimension, s.Queries, s.Metric)
	fmt.Fprintf(w, "kernels %s, GOMAXPROCS %d of %d CPUs, %s %s\n\n", m.Kernels, m.GOMAXPROCS, m.CPUs, m.Go, m.Platform)
}

func describeLatency(l indexbench.Latency) string {
	return fmt.Sprintf("p50 %s, p99 %s, longest %s (%d recalls)", microseconds(l.P50), microseconds(l.P99), microseconds(l.Max), l.N)
}

func microseconds(us float64) string {
	if us >= 10_000 {
		return fmt.Sprintf("%.1f ms", us/1000)
	}
	return fmt.Sprintf("%.0f µs", us)
}
