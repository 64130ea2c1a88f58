package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/vectors"
)

func newBenchDatasetCommand(env *environment) *cobra.Command {
	var f dataFlags
	var out, queriesOut string
	cmd := &cobra.Command{
		Use: "dataset --out FILE", Short: "Write the vectors that bench measures with, for other programs",
		Long: "dataset writes a data set, as the other commands of bench load or make it, to .fvecs files: what is inserted, and the\n" +
			"queries.",
		Example: "  engram bench dataset --count 200000 --out base.fvecs --queries-out queries.fvecs",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usageError("give --out, where the vectors go (see: engram bench dataset --help)")
			}
			d, err := f.load(cmd.Context())
			if err != nil {
				return err
			}
			if err := writeRows(out, d.Rows); err != nil {
				return err
			}
			if queriesOut != "" {
				if err := writeRows(queriesOut, d.Queries); err != nil {
					return err
				}
			}
			written := datasetReport{Out: out, Count: d.Rows.Len(), QueriesOut: queriesOut, Queries: d.Queries.Len(), Dimension: d.Rows.Dimension()}
			return env.printer().print(written, func(w io.Writer) {
				fmt.Fprintf(w, "%d vectors of %d components to %s\n", written.Count, written.Dimension, out)
				if queriesOut != "" {
					fmt.Fprintf(w, "%d queries to %s\n", written.Queries, queriesOut)
				}
			})
		},
	}
	f.addTo(cmd)
	cmd.Flags().StringVar(&out, "out", "", "the .fvecs file to write what is inserted to")
	cmd.Flags().StringVar(&queriesOut, "queries-out", "", "the .fvecs file to write the queries to (default: they are not written)")
	return cmd
}

type datasetReport struct {
	Out        string `json:"out"`
	Count      int    `json:"count"`
	QueriesOut string `json:"queries_out,omitempty"`
	Queries    int    `json:"queries"`
	Dimension  int    `json:"dimension"`
}

func writeRows(file string, rows *vectors.Rows) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return rows.WriteFvecs(f)
}
