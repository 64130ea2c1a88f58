package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/internal/app"
)

// pictures are the languages that a graph is written in, the default one first.
var pictures = []string{"dot", "mermaid"}

func newGraphCommand(env *environment) *cobra.Command {
	format := pictures[0]
	cmd := &cobra.Command{
		Use: "graph [FILE | -]", Short: "Show a pipeline as a picture, for Graphviz or Mermaid",
		Long: "graph builds a pipeline, without opening anything, and writes what was built: the sources, stages and sinks, the\n" +
			"queues between them with what they hold, and which run with their upstream and have none. Without a file it is the\n" +
			"built-in pipeline. A pipeline with mistakes is reported as validate does, on standard error.",
		Example: "  engram graph pipeline.yaml | dot -Tsvg > pipeline.svg\n  engram graph --format mermaid",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE:    func(_ *cobra.Command, a []string) error { return drawGraph(env, strings.Join(a, ""), format) },
	}
	cmd.Flags().StringVar(&format, "format", format, strings.Join(pictures, " or "))
	return cmd
}

type graphReport struct {
	Nodes []nodeJSON `json:"nodes"` // in topological order
}

type nodeJSON struct {
	Name    string      `json:"name"`
	Role    string      `json:"role"`
	Kind    string      `json:"kind"`
	From    []string    `json:"from,omitempty"`
	Fused   bool        `json:"fused,omitempty"`
	Edge    *windowJSON `json:"edge,omitempty"`
	Lanes   int         `json:"lanes"`
	Workers int         `json:"workers,omitempty"`
}

type windowJSON struct {
	Items int   `json:"items"`
	Bytes int64 `json:"bytes"`
}

func drawGraph(env *environment, file, format string) error {
	server, err := built(env, file, app.Config{})
	if err != nil {
		return err
	}
	layout := server.Layout()
	r := graphReport{}
	for _, n := range layout {
		node := nodeJSON{
			Name: n.Name, Role: n.Role.String(), Kind: n.Kind, From: n.From, Fused: n.Fused, Lanes: n.Lanes, Workers: n.Workers,
		}
		if n.Edge.Items > 0 {
			node.Edge = &windowJSON{n.Edge.Items, n.Edge.Bytes}
		}
		r.Nodes = append(r.Nodes, node)
	}
	write, known := map[string]func(io.Writer) error{"dot": layout.WriteDOT, "mermaid": layout.WriteMermaid}[format]
	if !known {
		return usageError("--format %q: give %s", format, strings.Join(pictures, " or "))
	}
	var writeErr error
	if err := env.printer().print(r, func(w io.Writer) { writeErr = write(w) }); err != nil {
		return err
	}
	return writeErr
}

// built builds the pipeline of a file, of standard input for -, or the built-in one for "", as serve would start it. Its
// mistakes are told on standard error, as validate tells them.
func built(env *environment, file string, c app.Config) (*app.Server, error) {
	c.File = pipelinePath(file)
	server, err := app.New(c)
	if diagnostics := app.Mistakes(err); len(diagnostics) > 0 {
		p := printer{out: env.stderr, json: env.json}
		if err := p.print(findings(diagnostics), func(w io.Writer) { printDiagnostics(w, c.File, diagnostics) }); err != nil {
			return nil, err
		}
		return nil, &exitError{code: exitUsage}
	}
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	return server, nil
}
