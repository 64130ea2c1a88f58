package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/bench/runbook"
	"github.com/engram-stream/engram/internal/memory"
)

func newBenchRunbookCommand(env *environment) *cobra.Command {
	var f dataFlags
	var name string
	var batch, k int
	cmd := &cobra.Command{
		Use: "runbook FILE", Short: "Carry out a runbook of NeurIPS'23's streaming track against the index",
		Long: "runbook carries out the steps of a file in the format of the streaming track of NeurIPS'23: insert, delete and replace\n" +
			"ranges of the data set, and search. At each search all queries are asked one after the other, and the answers compared\n" +
			"with the right ones among what is alive, which are computed. What runs is what engram bench index measures.\n\n" +
			"bench/runbooks has some for Fashion-MNIST.",
		Example: "  engram bench runbook bench/runbooks/fashion-mnist-sliding.yaml --metric l2 \\\n" +
			"    --dataset train-images-idx3-ubyte.gz --queries t10k-images-idx3-ubyte.gz",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := withinFlag("batch", batch, 1, indexbench.MaxBatch); err != nil {
				return err
			}
			if err := withinFlag("k", k, 1, memory.MaxRecallLimit); err != nil {
				return err
			}
			book, err := readFile(a[0], func(file string, in io.Reader) (*runbook.Runbook, error) { return runbook.Read(file, in, name) })
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			d, err := f.load(cmd.Context())
			if err != nil {
				return err
			}
			if err := book.Check(d.Rows.Len()); err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			played, err := indexbench.Play(cmd.Context(), book, d, batch, k, env.say)
			if err != nil {
				return err
			}
			return env.printer().print(played, func(w io.Writer) { printPlayed(w, played) })
		},
	}
	f.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "the data set whose runbook is meant, of a file that has several")
	flags.StringVar(&f.orderBy, "order-by", "", "an IDX file of labels: vectors are taken in the order of theirs")
	flags.IntVar(&batch, "batch", 256, "observations in a batch, and ids in a forget")
	flags.IntVar(&k, "k", memory.DefaultLimit, "hits of a recall")
	return cmd
}

func printPlayed(w io.Writer, p *indexbench.Played) {
	describe(w, p.Machine, p.Set)
	rows := make([][]string, len(p.Searches))
	for i, s := range p.Searches {
		rows[i] = []string{
			fmt.Sprint(s.Step), fmt.Sprint(s.Inserted), fmt.Sprint(s.Deleted), fmt.Sprintf("%.0f", s.PerSecond), fmt.Sprintf("%.1f", s.CPU),
			fmt.Sprint(s.Alive), fmt.Sprintf("%.4f", s.Right), microseconds(s.Latency.P50), microseconds(s.Latency.P99), microseconds(s.Latency.Max),
			mib(s.Resident.Own),
		}
	}
	header := []string{"STEP", "INSERTED", "DELETED", "CHANGES/S", "CPU µs", "ALIVE", fmt.Sprintf("RECALL@%d", p.K), "P50", "P99", "LONGEST", "MEMORY"}
	table(w, header, rows)
	fmt.Fprintf(w, "\nrecall@%d %.4f on average, %.4f at least, of %s; %.1f s\n", p.K, p.Right, p.Least, plural(uint64(len(p.Searches)), "search"), p.Seconds)
}
