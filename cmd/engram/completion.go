package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTimeout is how long pressing Tab may wait for a server's names.
const completionTimeout = 500 * time.Millisecond

const completionHelp = `completion prints what makes a shell complete commands, flags, their values, and the names of spaces of a running server:

  bash        source <(engram completion bash)                       # in ~/.bashrc; needs the package bash-completion
  zsh         source <(engram completion zsh)                        # in ~/.zshrc, behind compinit
  fish        engram completion fish | source                        # in ~/.config/fish/config.fish
  powershell  engram completion powershell | Out-String | Invoke-Expression   # in $PROFILE`

// addCompletions gives every command what completes its arguments, by the words of its usage, and the values of the flags
// that are alike everywhere.
func addCompletions(env *environment, root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Long = completionHelp
		// Cobra would answer a shell that it does not know with the help and success, for the shell to run.
		c.Args = func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				return unknownCommand(cmd, given[0])
			}
			return nil
		}
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	eachCommand(root, func(cmd *cobra.Command) {
		if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() {
			cmd.ValidArgsFunction = env.completeArguments
		}
		for flag, complete := range map[string]cobra.CompletionFunc{
			"kind":      cobra.FixedCompletions(watchedKinds, cobra.ShellCompDirectiveNoFileComp),
			"space":     env.completeSpaces,
			"format":    cobra.FixedCompletions(pictures, cobra.ShellCompDirectiveNoFileComp),
			"log-level": cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp),
			"config":    cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
			"address":   cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions, "listen": cobra.NoFileCompletions,
		} {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, complete) // it fails only for a flag that is not there
			}
		}
	})
}

func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, visit)
	}
}

// completeArguments completes the next argument: SPACE in a command's usage is the name of one, FILE any file, and the rest
// nobody can guess.
func (e *environment) completeArguments(cmd *cobra.Command, given []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words := strings.Fields(cmd.Use)[1:]
	switch {
	case len(given) >= len(words):
	case words[len(given)] == "SPACE":
		return e.completeSpaces(cmd, given, begun)
	case strings.Trim(words[len(given)], "()[]") == "FILE":
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeSpaces lists the spaces of the server, if it answers soon; nothing is said if it does not.
func (e *environment) completeSpaces(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c, err := e.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	spaces, err := c.ListSpaces(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, s := range spaces {
		if strings.HasPrefix(s.Name, begun) {
			names = append(names, s.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
