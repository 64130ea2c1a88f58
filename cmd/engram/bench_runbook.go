package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/bench/runbook"
	"github.com/engram-stream/engram/internal/memory"
)

func newBenchRunbookCommand(env *environment) *cobra.Command {
	var f dataFlags
	var name string
	c := indexbench.PlayConfig{Say: env.say}
	cmd := &cobra.Command{
		Use: "runbook FILE", Short: "Carry out a runbook of NeurIPS'23's streaming track against the index",
		Long: "runbook carries out the steps of a file in the format of the streaming track of NeurIPS'23: insert, delete and replace\n" +
			"ranges of the data set, and search. At each search all queries are asked one after the other, and the answers compared\n" +
			"with the right ones among what is alive, which are computed. What runs is what engram bench index measures. CPU is for a\n" +
			"change, until it is findable, with what the graph took meanwhile; MEMORY is what of RSS is no file. With --rebuild the\n" +
			"table ends with an index that never held anything but what is alive at the end.\n\n" +
			"bench/runbooks has some for Fashion-MNIST.",
		Example: "  engram bench runbook bench/runbooks/fashion-mnist-sliding.yaml --metric l2 \\\n" +
			"    --dataset train-images-idx3-ubyte.gz --queries t10k-images-idx3-ubyte.gz",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := withinFlag("batch", c.Batch, 1, indexbench.MaxBatch); err != nil {
				return err
			}
			if err := withinFlag("k", c.K, 1, memory.MaxRecallLimit); err != nil {
				return err
			}
			book, err := readFile(a[0], func(file string, in io.Reader) (*runbook.Runbook, error) { return runbook.Read(file, in, name) })
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			if c.Data, err = f.load(cmd.Context()); err != nil {
				return err
			}
			if err := book.Check(c.Rows.Len()); err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			played, err := indexbench.Play(cmd.Context(), book, c)
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
	flags.IntVar(&c.Batch, "batch", 256, "observations in a batch, and ids in a forget")
	flags.BoolVar(&c.Settle, "settle", false, "have each search wait until nothing more goes into the graph")
	flags.BoolVar(&c.Rebuild, "rebuild", false, "insert what is alive at the end into another index, and search it too")
	flags.IntVar(&c.K, "k", memory.DefaultLimit, "hits of a recall")
	return cmd
}

func printPlayed(w io.Writer, p *indexbench.Played) {
	describe(w, p.Machine, p.Set)
	searches := p.Searches
	if p.Rebuilt != nil {
		searches = append(slices.Clone(searches), *p.Rebuilt)
	}
	rows := make([][]string, len(searches))
	for i, s := range searches {
		step := strconv.Itoa(s.Step)
		if i == len(p.Searches) {
			step = "rebuilt"
		}
		rows[i] = []string{
			step, strconv.Itoa(s.Inserted), strconv.Itoa(s.Deleted), fmt.Sprintf("%.0f", s.PerSecond), fmt.Sprintf("%.1f", s.CPU),
			strconv.Itoa(s.Alive), fmt.Sprintf("%.4f", s.Right), microseconds(s.Latency.P50), microseconds(s.Latency.P99), microseconds(s.Latency.Max),
			fmt.Sprintf("%.0f %%", 100*s.Graphed), mib(s.Resident.Own),
		}
	}
	header := []string{"STEP", "INSERTED", "DELETED", "CHANGES/S", "CPU µs", "ALIVE", fmt.Sprintf("RECALL@%d", p.K), "P50", "P99", "LONGEST", "FROM GRAPH", "MEMORY"}
	table(w, header, rows)
	fmt.Fprintf(w, "\nrecall@%d %.4f on average, %.4f at least, of %d searches; %.1f s\n", p.K, p.Right, p.Least, len(p.Searches), p.Seconds)
	if len(p.Searches) == 0 {
		return
	}
	if p.Rebuilt != nil {
		fmt.Fprintf(w, "the last is %.4f, and of an index of the same vectors built anew %.4f\n", p.Searches[len(p.Searches)-1].Right, p.Rebuilt.Right)
	}
	printGrowth(w, p.Searches)
}

// printGrowth compares the memory of the searches with that of the first, and of the second: after the first changes.
func printGrowth(w io.Writer, searches []indexbench.Searched) {
	most := int64(0)
	for _, s := range searches {
		most = max(most, s.Resident.Own)
	}
	if len(searches) < 2 || searches[0].Resident.Own == 0 || searches[1].Resident.Own == 0 {
		return
	}
	times := func(at int) float64 { return float64(most) / float64(searches[at].Resident.Own) }
	fmt.Fprintf(w, "memory is %s at most: %.2f times that of the first search, %.2f times that of the second\n", mib(most), times(0), times(1))
}
