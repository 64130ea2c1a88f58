package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
)

const cliHead = `# The command line

Made of the commands themselves, by ` + "`go test ./cmd/engram -rewrite`" + `; ` + "`engram help COMMAND`" + ` says the same.

`

// TestTheCLIReference: docs/cli.md says what the commands say of themselves.
func TestTheCLIReference(t *testing.T) {
	t.Setenv(addressVariable, "")
	env := &environment{}
	root := newRootCommand(env)
	addCompletions(env, root)
	var text strings.Builder
	text.WriteString(cliHead)
	eachCommand(root, func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return
		}
		assert.NotEmpty(t, cmd.Short, cmd.CommandPath())
		fmt.Fprintf(&text, "%s %s\n\n", strings.Repeat("#", 2+min(strings.Count(cmd.CommandPath(), " "), 2)), cmd.CommandPath())
		about := cmd.Long
		if about == "" {
			about = cmd.Short + "."
		}
		said := []string{"  " + strings.ReplaceAll(strings.TrimSpace(about), "\n", "\n  ")}
		if cmd.Runnable() { // else it is a page of help
			said = append(said, "", "Usage: "+cmd.UseLine())
		}
		if cmd.Example != "" {
			said = append(said, "", "Examples:", cmd.Example)
		}
		if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
			said = append(said, "", "Flags:", strings.TrimRight(flags.FlagUsages(), "\n"))
		}
		for i, line := range said {
			said[i] = strings.TrimRight(line, " ")
		}
		fmt.Fprintf(&text, "```text\n%s\n```\n\n", strings.ReplaceAll(strings.Join(said, "\n"), "\n  \n", "\n\n"))
	})
	golden(t, filepath.Join("..", "..", "docs", "cli.md"), strings.TrimRight(text.String(), "\n")+"\n")
}
