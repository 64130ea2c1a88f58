package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/app"
)

type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// stdinPath is standard input as a file, on the systems that engram runs on.
const stdinPath = "/dev/stdin"

// pipelinePath is the path of a pipeline that the command line names.
func pipelinePath(file string) string {
	if file == "-" {
		return stdinPath
	}
	return file
}

func newValidateCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "validate (FILE | -)", Short: "Check a pipeline: every mistake at once, with line and column",
		Long: "validate reads a pipeline, from standard input for -, builds its graph and checks wiring, types and windows, without opening anything.\n" +
			"It exits 0 when the pipeline is sound, 2 with a line for each mistake otherwise. Whether the folder, the port and\n" +
			"an address beyond loopback can be had is known only when it starts.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error { return validate(env, a[0]) },
	}
}

func validate(env *environment, file string) error {
	path := pipelinePath(file)
	diagnostics, err := app.Validate(path)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	if err := env.printer().print(findings(diagnostics), func(w io.Writer) { printDiagnostics(w, path, diagnostics) }); err != nil {
		return err
	}
	if len(diagnostics) > 0 {
		return &exitError{code: exitUsage}
	}
	return nil
}

func findings(ds config.Diagnostics) []finding {
	out := make([]finding, len(ds))
	for i, d := range ds {
		out[i] = finding{File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Column, Message: d.Message, Hint: d.Hint}
	}
	return out
}

// printDiagnostics tells what was found about a pipeline; without a path it is the built-in one, as it is set.
func printDiagnostics(w io.Writer, path string, ds config.Diagnostics) {
	for _, d := range ds {
		fmt.Fprintln(w, d.Error())
	}
	if len(ds) == 0 {
		fmt.Fprintf(w, "%s: ok\n", path)
	} else {
		fmt.Fprintf(w, "%s: %s\n", cmp.Or(path, "settings"), plural(uint64(len(ds)), "mistake"))
	}
}
