package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/bench/indexbench"
	"github.com/engram-stream/engram/internal/dataset"
)

// filterFlags say which vectors a query may find.
type filterFlags struct {
	labels, queryLabels string
	oneIn               int
}

func (f *filterFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.labels, "labels", "", "an IDX file of the vectors' labels: a query may find those with its own; goes with --query-labels")
	flags.StringVar(&f.queryLabels, "query-labels", "", "an IDX file of the queries' labels")
	flags.IntVar(&f.oneIn, "keep-one-in", 1, "let a query find one vector in so many, at random")
}

func (f *filterFlags) check() error {
	switch {
	case (f.labels == "") != (f.queryLabels == ""):
		return usageError("--labels and --query-labels go together")
	case f.labels != "" && f.oneIn != 1:
		return usageError("give --labels or --keep-one-in, not both")
	}
	return withinFlag("keep-one-in", f.oneIn, 1, maxBenchVectors)
}

// keep returns what is left to each query; nil: there is no filter.
func (f *filterFlags) keep(d indexbench.Data) (func(query int, row uint32) bool, error) {
	switch {
	case f.labels != "":
		return f.sameLabel(d)
	case f.oneIn == 1:
		return nil, nil
	}
	of := uint64(f.oneIn)
	return func(query int, row uint32) bool { return mixed(uint64(query)<<32|uint64(row))%of == 0 }, nil
}

func (f *filterFlags) sameLabel(d indexbench.Data) (func(query int, row uint32) bool, error) {
	labels, err := readFile(f.labels, dataset.ReadLabels)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	wanted, err := readFile(f.queryLabels, dataset.ReadLabels)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	if len(labels) < d.Rows.Len() || len(wanted) < d.Queries.Len() {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s has %d labels for %d vectors, and %s %d for %d queries",
			f.labels, len(labels), d.Rows.Len(), f.queryLabels, len(wanted), d.Queries.Len())}
	}
	return func(query int, row uint32) bool { return labels[row] == wanted[query] }, nil
}

// mixed spreads numbers over all 64 bits: the finalizer of SplitMix64.
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
