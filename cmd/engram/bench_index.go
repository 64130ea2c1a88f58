package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/memory"
)

const (
	maxBenchRuns    = 1000
	maxBenchRecalls = 100_000
)

func newBenchIndexCommand(env *environment) *cobra.Command {
	var f dataFlags
	c := indexbench.Config{Say: env.say}
	cmd := &cobra.Command{
		Use: "index", Short: "Measure inserts and recalls of the index stage",
		Long: "index runs the index stage of the pipeline in this process and measures, in this order: inserts at full speed until they\n" +
			"are findable, each run into an empty index; how long the graph takes to catch up, if the space gets one; what it takes\n" +
			"of memory; recalls with nothing else going on, against the right answers, which are computed by comparing all; a batch\n" +
			"of 100 against 100 single inserts, in turn; and recalls at a steady rate while an index that is half full or more is\n" +
			"inserted into at full speed. With --forget the first vectors are forgotten before those recalls.\n\n" +
			"Under the stage is a journal that appends nothing: every insert is durable at once, and the vectors that recalls are\n" +
			"compared by come from the data set, in a mapped file. So there is no disk, sync, checksum, session or network in the\n" +
			"numbers; what makes the inserts runs on the same cores and is in them. CPU is that of the whole process.",
		Example: "  engram bench index --count 200000\n" +
			"  engram bench index --dataset train-images-idx3-ubyte.gz --queries t10k-images-idx3-ubyte.gz --metric l2 --json",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkBenchIndex(c); err != nil {
				return err
			}
			var err error
			if c.Data, err = f.load(cmd.Context()); err != nil {
				return err
			}
			if err := withinFlag("forget", c.Forget, 0, c.Rows.Len()); err != nil {
				return err
			}
			report, err := indexbench.Run(cmd.Context(), c)
			if err != nil {
				return err
			}
			return env.printer().print(report, func(w io.Writer) { printBenchIndex(w, report) })
		},
	}
	f.addTo(cmd)
	f.addTruth(cmd)
	flags := cmd.Flags()
	flags.IntVar(&c.Batch, "batch", 256, "observations in a batch at full speed")
	flags.IntVar(&c.K, "k", memory.DefaultLimit, "hits of a recall")
	flags.IntVar(&c.Runs, "runs", 3, "how often all is inserted, for a median")
	flags.IntVar(&c.Forget, "forget", 0, "forget so many again, the first, before recalls are compared with the right answers")
	flags.DurationVar(&c.For, "seconds", 10*time.Second, "how long recalls are measured while inserts go on, at least")
	flags.IntVar(&c.PerS, "recalls", 100, "recalls a second meanwhile")
	return cmd
}

func checkBenchIndex(c indexbench.Config) error {
	for _, check := range []error{
		withinFlag("batch", c.Batch, 1, indexbench.MaxBatch), withinFlag("k", c.K, 1, memory.MaxRecallLimit),
		withinFlag("runs", c.Runs, 1, maxBenchRuns), withinFlag("recalls", c.PerS, 1, maxBenchRecalls), checkPositive("--seconds", c.For),
	} {
		if check != nil {
			return check
		}
	}
	return nil
}

func printBenchIndex(w io.Writer, r *indexbench.Report) {
	describe(w, r.Machine, r.Set)
	rows := [][]string{
		{"inserts", fmt.Sprintf("%.0f/s until findable, in batches of %d (median of %d runs)", r.Insert.MedianPerSecond, r.Batch, len(r.Insert.PerSecond))},
		{"CPU", fmt.Sprintf("%.1f µs an insert until findable (median)", r.Insert.MedianCPU)},
		{"graph", describeMerge(r.Merge)},
		{fmt.Sprintf("recall@%d", r.K), fmt.Sprintf("%.4f", r.Recall.Right)},
		{"a recall, idle", describeLatency(r.Recall.Latency)},
		{"a recall, while inserting", describeLatency(r.Busy.Latency)},
		{"inserts meanwhile", fmt.Sprintf("%.0f/s beside %d recalls a second (median of %d fills)", r.Busy.Inserts, r.Busy.PerSecond, r.Busy.Fills)},
	}
	if g := r.Forget; g.Count > 0 {
		rows = slices.Insert(rows, 3, []string{"forgets", fmt.Sprintf("%d, at %.0f/s, for %.1f µs of CPU each and %.1f until the graph was at rest",
			g.Count, g.PerSecond, g.CPU, g.Rest)})
	}
	if s := r.Single; s.Turns > 0 {
		rows = append(rows, []string{
			fmt.Sprintf("a batch of %d", s.Size),
			fmt.Sprintf("%s, one by one %s: %.1f times (medians of %d turns)", microseconds(s.BatchUs), microseconds(s.EachUs), s.Times, s.Turns),
		})
	}
	m := r.Memory
	rows = append(rows, []string{"memory", fmt.Sprintf("%.0f bytes a vector; RSS %s, of that %s of the process's own, %s before",
		m.PerRow, mib(m.Resident.Total), mib(m.Resident.Own), mib(m.Before.Own))})
	table(w, []string{"WHAT", "VALUE"}, rows)
}

func describeMerge(m indexbench.Merging) string {
	switch {
	case !m.Done:
		return "not at rest within the time that is waited"
	case m.Part == 0:
		return "the space has none"
	}
	return fmt.Sprintf("has %.1f %% %.1f s after the last insert, for %.1f µs of CPU an insert since then", 100*m.Part, m.Seconds, m.CPU)
}
