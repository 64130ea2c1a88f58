package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
)

type forgetFlags struct {
	before string
	dryRun bool
	yes    bool

	// Of before. A duration is taken back from now once, so that what is asked about is what is forgotten.
	aged   bool
	cutoff time.Time
}

func newForgetCommand(env *environment) *cobra.Command {
	var f forgetFlags
	cmd := &cobra.Command{
		Use: "forget SPACE [ID...] [--before TIME]", Short: "Remove memories by id, by age, or by both",
		Long: "forget removes memories for good: at most 10000 by id, or with --before those that are so old, or with both what both\n" +
			"say. A memory is as old as its observed_at, by its writer's clock; without one as old as its arrival at the server.\n" +
			"TIME is a time (2026-01-31T00:00:00Z) or how long ago (90m, 720h, 30d). An id that the space does not hold is no\n" +
			"error.\n\n" +
			"Before it forgets by age alone it says how many memories that would be, and asks; without a terminal, and with\n" +
			"--json, it wants --yes instead.",
		Example: "  engram forget notes tea run\n  engram forget notes --before 30d --dry-run\n  engram forget notes --before 2026-01-31T00:00:00Z --yes",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			f.aged = cmd.Flags().Changed("before")
			if err := f.check(a[0], a[1:]); err != nil {
				return err
			}
			return forget(cmd.Context(), env, a[0], a[1:], &f)
		},
	}
	cmd.Flags().StringVar(&f.before, "before", "", "only what happened before this `TIME`, or so long ago")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "count what would be removed, and remove nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	env.addAddress(cmd)
	env.addTimeout(cmd)
	return cmd
}

func (f *forgetFlags) check(space string, ids []string) error {
	if err := checkSpace(space); err != nil {
		return err
	}
	if err := checkIDs(ids); err != nil {
		return err
	}
	if len(ids) == 0 && !f.aged {
		return usageError("say what to forget: ids, --before, or both (see: engram forget --help)")
	}
	if !f.aged {
		return nil
	}
	var err error
	f.cutoff, err = parseBefore(f.before, time.Now())
	return err
}

type forgetReport struct {
	Space         string    `json:"space"`
	Matched       uint64    `json:"matched"`
	DryRun        bool      `json:"dry_run"`
	Before        time.Time `json:"observed_before,omitzero"`
	CommitVersion uint64    `json:"commit_version,omitempty"` // absent if nothing was sent to be removed
}

func forget(ctx context.Context, env *environment, space string, ids []string, f *forgetFlags) error {
	done, err := f.run(ctx, env, space, ids)
	if err != nil {
		return err
	}
	r := forgetReport{Space: space, Matched: done.Matched, DryRun: f.dryRun, Before: f.cutoff, CommitVersion: done.Version}
	return env.printer().print(r, func(w io.Writer) { r.write(w) })
}

func (f *forgetFlags) run(ctx context.Context, env *environment, space string, ids []string) (*client.Forgotten, error) {
	if len(ids) > 0 || f.dryRun || f.yes {
		return f.send(ctx, env, space, ids, f.dryRun)
	}
	if !env.canConfirm() {
		return nil, usageError("to forget by age alone it would ask, and cannot here: give --yes, or --dry-run to only count")
	}
	would, err := f.send(ctx, env, space, nil, true)
	if err != nil || would.Matched == 0 {
		return would, err // nothing to ask about
	}
	question := fmt.Sprintf("Forget %s of %q from before %s?", memories(would.Matched), space, f.cutoff.UTC().Format(time.RFC3339))
	if err := env.confirm(ctx, question, "nothing was forgotten"); err != nil {
		return nil, err
	}
	return f.send(ctx, env, space, nil, false)
}

func (f *forgetFlags) send(ctx context.Context, env *environment, space string, ids []string, dryRun bool) (*client.Forgotten, error) {
	var options []client.ForgetOption
	if f.aged {
		options = append(options, client.Before(f.cutoff))
	}
	if dryRun {
		options = append(options, client.DryRun{})
	}
	var answer *client.Forgotten
	err := env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		var err error
		answer, err = c.Forget(ctx, space, ids, options...)
		return err
	})
	return answer, err
}

func (r *forgetReport) write(w io.Writer) {
	did := "forgot"
	if r.DryRun {
		did = "would forget"
	}
	fmt.Fprintf(w, "%s %s of %q\n", did, memories(r.Matched), r.Space)
}

func memories(n uint64) string {
	if n == 1 {
		return "1 memory"
	}
	return fmt.Sprintf("%d memories", n)
}
