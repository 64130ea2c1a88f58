package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/app"
)

const (
	defaultPort    = "7320"
	defaultAddress = "127.0.0.1:" + defaultPort

	addressVariable = "ENGRAM_ADDRESS"
)

// environment is what a subcommand may touch of the outside, and the flags that all share.
type environment struct {
	stdin   io.Reader
	stdout  *checkedWriter
	stderr  io.Writer
	json    bool
	address string
	timeout time.Duration
}

func (e *environment) printer() *printer { return &printer{out: e.stdout, json: e.json} }

func (e *environment) client() (*client.Client, error) {
	address, err := withPort(e.address)
	if err != nil {
		return nil, err
	}
	c, err := client.New(address)
	if e, ok := errors.AsType[*client.Error](err); ok {
		return nil, usageError("--address %s", e.Message)
	}
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	return c, nil
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := &environment{stdin: stdin, stdout: &checkedWriter{to: stdout}, stderr: stderr}
	root := newRootCommand(env)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(env.stdout)
	root.SetErr(stderr)
	addCompletions(env, root) // the script goes where output goes by now
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = env.stdout.err
	}
	return report(err, env.json, stderr)
}

func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "engram",
		Short: "A streaming vector memory: write and recall at the same time",
		Long: "engram is a streaming vector memory. Clients push observations into spaces and recall by vector on the same\n" +
			"stream; an ack means durable and findable.\n\nBegin with: engram demo\n\n" + exitHelp,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			for _, warning := range app.MisspeltVariables(os.Environ(), addressVariable) {
				fmt.Fprintln(env.stderr, env.notice("warning: "+warning))
			}
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().BoolVar(&env.json, "json", false, "machine-readable output")
	root.AddCommand(
		newServeCommand(env), newDemoCommand(env), newObserveCommand(env), newRecallCommand(env), newGetCommand(env), newForgetCommand(env),
		newSpacesCommand(env), newSessionsCommand(env), newWatchCommand(env), newValidateCommand(env), newGraphCommand(env),
		newConfigCommand(env), newBenchCommand(env), newVersionCommand(env), newExitCodesTopic(),
	)
	addHelp(root)
	return root
}

// addHelp makes the command help refuse a topic that it does not know; cobra's own prints another one's page.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(fmt.Sprintf("cobra has no help: %v", err))
	}
	help.Run = nil
	help.RunE = func(_ *cobra.Command, topic []string) error {
		cmd, rest, err := root.Find(topic)
		if err != nil {
			return usageError("%w", err)
		}
		if len(rest) > 0 && cmd.HasSubCommands() {
			return unknownCommand(cmd, rest[0])
		}
		cmd.InitDefaultHelpFlag()
		return cmd.Help()
	}
}

// flagError says what is wrong with a flag. One that a command with others below it does not know was meant for the one
// of them whose name was misspelt.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if want, known := flagWants[bad.GetFlag().Value.Type()]; known {
			return usageError("--%s %q: give %s", bad.GetFlag().Name, bad.GetValue(), want)
		}
	}
	return usageError("%w (see: %s --help)", err, cmd.CommandPath())
}

// flagWants says what a flag of a type takes, where the library's own words would be those of Go's parser.
var flagWants = map[string]string{
	"int": "a whole number", "int64": "a whole number", "uint64": "a whole number of 0 or more", "float32": "a number",
	"duration": "a time such as 10s", "bool": "true or false",
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets on another way
	}
	if s := cmd.SuggestionsFor(name); len(s) > 0 {
		hint = fmt.Sprintf(`; did you mean "%s"?`, strings.Join(s, `" or "`))
	}
	return usageError("unknown command %q%s (see: %s --help)", name, hint, cmd.CommandPath())
}

// newExitCodesTopic is a help page: `engram help exit-codes`.
func newExitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitHelp}
}

// args wraps a check of positional arguments so that its failure is a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usageError("%w (usage: %s)", err, cmd.UseLine())
		}
		return nil
	}
}

func (e *environment) addAddress(cmd *cobra.Command) {
	address := os.Getenv(addressVariable)
	if address == "" {
		address = defaultAddress
	}
	cmd.Flags().StringVar(&e.address, "address", address, "the server, host or host:port or URL (or "+addressVariable+")")
}

func (e *environment) addTimeout(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&e.timeout, "timeout", 10*time.Second, "how long to wait for the answer")
}

// ask makes a client for one question to the server, which has until the time-out.
func (e *environment) ask(ctx context.Context, question func(context.Context, *client.Client) error) error {
	if err := checkPositive("--timeout", e.timeout); err != nil {
		return err
	}
	c, err := e.client()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	err = question(ctx, c)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w (--timeout %v)", err, e.timeout)
	}
	return err
}

// rejectedExit turns rejections, of this run and of those before it that it goes on with, into their exit code, after the
// counts were printed.
func rejectedExit(rejected, before uint64) error {
	if rejected+before == 0 {
		return nil
	}
	text := plural(rejected, "observation") + " rejected; see above"
	if before > 0 {
		text = fmt.Sprintf("%s rejected, and %d in a run before", plural(rejected, "observation"), before)
	}
	return &exitError{code: exitRejected, err: errors.New(text)}
}

func plural(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
