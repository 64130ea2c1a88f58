package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/app"
)

func newConfigCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Show the configuration that is in force, or the schema of a pipeline file",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigPrintCommand(env), newConfigSchemaCommand(env))
	return cmd
}

func newConfigPrintCommand(env *environment) *cobra.Command {
	f := serveFlags{stopIn: 1}
	cmd := &cobra.Command{
		Use: "print [FILE | -]", Short: "Print what is in force: defaults, file, environment and flags",
		Long: "print writes the pipeline as serve would run it with the same file, environment and flags: every setting spelt out,\n" +
			"with a comment that says where it came from on each that is no default. It reads back as the same. A pipeline with\n" +
			"mistakes is reported as validate does, on standard error.",
		Example: "  engram config print pipeline.yaml\n  ENGRAM_BUDGET_BYTES=1GiB engram config print --data /srv/engram",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := f.check(cmd.Flags().Changed); err != nil {
				return err
			}
			return printConfig(env, strings.Join(a, ""), f.overrides)
		},
	}
	f.addOverrides(cmd)
	return cmd
}

func printConfig(env *environment, file string, overrides []config.Override) error {
	server, err := built(env, file, app.Config{Overrides: overrides})
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := server.Pipeline().Print(&text); err != nil {
		return err
	}
	var values any
	if err := yaml.Unmarshal([]byte(text.String()), &values); err != nil {
		return fmt.Errorf("read back what is in force: %w", err)
	}
	return env.printer().print(values, func(w io.Writer) { fmt.Fprint(w, text.String()) })
}

func newConfigSchemaCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of a pipeline file, for editors",
		Long: "schema prints the JSON Schema (draft 2020-12) of a pipeline file: keys, types, ranges, defaults and what they mean. An\n" +
			"editor with yaml-language-server completes and checks by it when the file begins with the comment\n\n" +
			"  # yaml-language-server: $schema=pipeline.schema.json\n\n" +
			"validate finds more: whether names, item types, windows and the budget fit together.",
		Example: "  engram config schema > pipeline.schema.json",
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := env.stdout.Write(config.Schema())
			return err
		},
	}
}
