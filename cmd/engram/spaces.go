package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
)

func newSpacesCommand(env *environment) *cobra.Command {
	var heaviest bool
	cmd := &cobra.Command{
		Use: "spaces", Short: "List the spaces, or delete one",
		Long: "spaces lists what there is. With --heaviest it tells which spaces the server is busy with: how much of each waits between\n" +
			"the stages, and what part of the last seconds the stage that is busiest with it was at work on it.",
		Example: "  engram spaces\n  engram spaces --json | jq -r '.spaces[].name'\n  engram spaces --heaviest\n  engram spaces delete notes",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if heaviest {
				return listHeaviest(cmd.Context(), env)
			}
			return listSpaces(cmd.Context(), env)
		},
	}
	cmd.Flags().BoolVar(&heaviest, "heaviest", false, "only those of which most waits, and those that keep the server busiest")
	env.addAddress(cmd)
	env.addTimeout(cmd)
	cmd.AddCommand(newDeleteSpaceCommand(env))
	return cmd
}

func newDeleteSpaceCommand(env *environment) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete SPACE", Short: "Delete a space with everything in it",
		Long: "delete removes a space for good: its memories, and the sessions of those who write to it, whose streams end. Writing to\n" +
			"the name afterwards makes a new space. It asks before; without a terminal, and with --json, it wants --yes instead.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error { return deleteSpace(cmd.Context(), env, a[0], yes) },
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	env.addAddress(cmd)
	env.addTimeout(cmd)
	return cmd
}

func deleteSpace(ctx context.Context, env *environment, name string, yes bool) error {
	if err := checkSpace(name); err != nil {
		return err
	}
	switch {
	case yes:
	case !env.canConfirm():
		return usageError("to delete a space it would ask, and cannot here: give --yes")
	default:
		if err := env.confirm(ctx, fmt.Sprintf("Delete %q with everything in it?", name), "nothing was deleted"); err != nil {
			return err
		}
	}
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		if err := c.DeleteSpace(ctx, name); err != nil {
			return err
		}
		return env.printer().print(deletedSpace{Deleted: name}, func(w io.Writer) { fmt.Fprintf(w, "deleted %q\n", name) })
	})
}

type deletedSpace struct {
	Deleted string `json:"deleted"`
}

type spacesReport struct {
	Spaces []spaceJSON `json:"spaces"`
}

type spaceJSON struct {
	Name      string    `json:"name"`
	Dimension int       `json:"dimension"`
	Metric    string    `json:"metric"`
	Embedder  string    `json:"embedder"` // empty: vectors come from clients
	Memories  uint64    `json:"memories"`
	Version   uint64    `json:"version"`
	Graphed   uint64    `json:"graphed_version"` // up to it the space's graph is searched; 0: it has none
	CreatedAt time.Time `json:"created_at"`
}

func listSpaces(ctx context.Context, env *environment) error {
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		spaces, err := c.ListSpaces(ctx)
		if err != nil {
			return err
		}
		r := spacesReport{Spaces: []spaceJSON{}}
		for _, s := range spaces {
			r.Spaces = append(r.Spaces, spaceJSON{
				Name: s.Name, Dimension: s.Dimension, Metric: s.Metric.String(), Embedder: s.Embedder, Memories: s.Memories, Version: s.Version,
				Graphed: s.GraphedVersion, CreatedAt: s.CreatedAt,
			})
		}
		return env.printer().print(r, func(w io.Writer) { r.write(w) })
	})
}

type loadsReport struct {
	Spaces []loadJSON `json:"spaces"`
}

type loadJSON struct {
	Name   string  `json:"name"`
	Queued uint64  `json:"queued"`
	Busy   float64 `json:"busy"`          // 0 to 1
	Stage  string  `json:"busiest_stage"` // whose busy it is
}

func listHeaviest(ctx context.Context, env *environment) error {
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		stats, err := c.Stats(ctx, "")
		if err != nil {
			return err
		}
		r := loadsReport{Spaces: []loadJSON{}}
		for _, l := range stats.Heaviest {
			r.Spaces = append(r.Spaces, loadJSON{Name: l.Space, Queued: l.Queued, Busy: l.Busy, Stage: l.Stage})
		}
		return env.printer().print(r, func(w io.Writer) { r.write(w) })
	})
}

func (r *loadsReport) write(w io.Writer) {
	if len(r.Spaces) == 0 {
		fmt.Fprintln(w, "nothing is written to any space")
		return
	}
	rows := make([][]string, len(r.Spaces))
	for i, s := range r.Spaces {
		rows[i] = []string{s.Name, strconv.FormatUint(s.Queued, 10), fmt.Sprintf("%.1f %%", 100*s.Busy), s.Stage}
	}
	table(w, []string{"SPACE", "QUEUED", "BUSY", "STAGE"}, rows)
}

func (r *spacesReport) write(w io.Writer) {
	if len(r.Spaces) == 0 {
		fmt.Fprintln(w, "no spaces; the first observation makes one")
		return
	}
	rows := make([][]string, len(r.Spaces))
	for i, s := range r.Spaces {
		rows[i] = []string{
			s.Name, strconv.Itoa(s.Dimension), s.Metric, cmp.Or(s.Embedder, "-"), strconv.FormatUint(s.Memories, 10), strconv.FormatUint(s.Version, 10),
			strconv.FormatUint(s.Graphed, 10),
			s.CreatedAt.UTC().Format(time.RFC3339),
		}
	}
	table(w, []string{"SPACE", "DIMENSION", "METRIC", "EMBEDDER", "MEMORIES", "VERSION", "GRAPHED", "CREATED"}, rows)
}
