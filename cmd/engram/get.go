package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
)

// namedIDs bounds the ids that an error spells out; the rest are counted.
const namedIDs = 10

func newGetCommand(env *environment) *cobra.Command {
	var embedding bool
	cmd := &cobra.Command{
		Use: "get SPACE ID...", Short: "Print memories by id",
		Long: "get prints memories in the order of their ids, at most 1000 at once. If the space does not hold one, it prints the\n" +
			"others, says which are missing, and ends with exit code 1.",
		Example: "  engram get notes tea\n  engram get notes tea run --embedding --json | jq '.memories[].embedding'",
		Args:    args(cobra.MinimumNArgs(2)),
		RunE:    func(cmd *cobra.Command, a []string) error { return get(cmd.Context(), env, a[0], a[1:], embedding) },
	}
	cmd.Flags().BoolVar(&embedding, "embedding", false, "print the vectors too")
	env.addAddress(cmd)
	env.addTimeout(cmd)
	return cmd
}

type getReport struct {
	Space    string       `json:"space"`
	Memories []memoryJSON `json:"memories"`
	Missing  []string     `json:"missing"`
}

func get(ctx context.Context, env *environment, space string, ids []string, embedding bool) error {
	if err := checkSpace(space); err != nil {
		return err
	}
	if err := checkIDs(ids); err != nil {
		return err
	}
	var options []client.GetOption
	if embedding {
		options = append(options, client.WithEmbedding{})
	}
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		m, err := c.Get(ctx, space, ids, options...)
		if err != nil {
			return err
		}
		r := getReport{Space: space, Memories: []memoryJSON{}, Missing: append([]string{}, m.Missing...)}
		for i := range m.Found {
			r.Memories = append(r.Memories, newMemoryJSON(&m.Found[i]))
		}
		if err := env.printer().print(r, func(w io.Writer) { r.write(w) }); err != nil {
			return err
		}
		return noSuchMemory(space, m.Missing)
	})
}

func (r *getReport) write(w io.Writer) {
	for i := range r.Memories {
		if i > 0 {
			fmt.Fprintln(w)
		}
		r.Memories[i].write(w)
	}
}

// noSuchMemory is the failure to find some ids; nil for none.
func noSuchMemory(space string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var named []string
	for _, id := range ids[:min(len(ids), namedIDs)] {
		named = append(named, strconv.Quote(id))
	}
	more := ""
	if n := len(ids) - len(named); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("space %q holds no memory %s%s", space, strings.Join(named, ", "), more)
}
