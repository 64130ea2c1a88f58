package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
)

// watchedKinds are the values of --kind.
var watchedKinds = []string{"stored", "forgotten", "queue", "graphed"}

// watchCommand is `engram watch`.
type watchCommand struct {
	env   *environment
	space string
	from  int64 // -1: from now on
	kinds []string
	again []string // the words that go on with this watch, less --from
}

func newWatchCommand(env *environment) *cobra.Command {
	c := &watchCommand{env: env}
	cmd := &cobra.Command{
		Use: "watch SPACE", Short: "Show what is stored and forgotten in a space, as it happens",
		Long: "watch shows what happens in a space until Ctrl-C, in the order of its versions, as soon as recalls find it. It goes on\n" +
			"after a lost connection or a restart of the server, and says at its end how to go on from there. With --json it\n" +
			"writes one JSON document a line.",
		Example: "  engram watch notes\n  engram watch notes --from 0 --kind forgotten --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c.space, c.again = a[0], again(cmd, os.Args[0], a, "from")
			return c.run(cmd.Context())
		},
	}
	cmd.Flags().Int64Var(&c.from, "from", -1, "begin after this version; 0 begins with all that there is (default: from now on)")
	cmd.Flags().StringSliceVar(&c.kinds, "kind", nil, "only these: "+strings.Join(watchedKinds, ", "))
	env.addAddress(cmd)
	return cmd
}

func (c *watchCommand) run(ctx context.Context) error {
	if err := checkSpace(c.space); err != nil {
		return err
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	connection, err := c.env.client()
	if err != nil {
		return err
	}
	defer connection.Close()
	var held holdup
	o.OnEvent = func(e client.Event) {
		if line := held.connection(e, ""); line != "" {
			fmt.Fprintln(c.env.stderr, c.env.notice(line))
		}
	}
	var last client.Notice
	for n, err := range connection.Watch(ctx, c.space, o) {
		switch {
		case ctx.Err() != nil && last.Kind != 0:
			fmt.Fprintln(c.env.stderr, c.env.notice(fmt.Sprintf("watched %q up to version %d; to go on: %s", c.space, last.Resume, c.goOn(last.Resume))))
			return nil
		case ctx.Err() != nil:
			return &exitError{code: exitInterrupted, err: errors.New("interrupted before the watch began")}
		case err != nil:
			return err
		}
		last = n
		if err := c.print(n); err != nil {
			return err
		}
	}
	return nil
}

// goOn returns the command that goes on behind a version.
func (c *watchCommand) goOn(version uint64) string {
	return fmt.Sprintf("%s --from %d", strings.Join(c.again, " "), version)
}

func (c *watchCommand) options() (o client.WatchOptions, err error) {
	if c.from < -1 {
		return o, usageError("--from %d: a version is 0 or more", c.from)
	}
	if c.from >= 0 {
		o.From, o.FromStart = uint64(c.from), c.from == 0
	}
	names := map[string]client.NoticeKind{"stored": client.NoticeStored, "forgotten": client.NoticeForgotten, "queue": client.NoticeQueue, "graphed": client.NoticeGraphed}
	for _, name := range c.kinds {
		kind, ok := names[name]
		if !ok {
			return o, usageError("--kind %q: it is stored, forgotten, queue or graphed", name)
		}
		o.Kinds = append(o.Kinds, kind)
	}
	return o, nil
}

// noticeJSON is one line of --json.
type noticeJSON struct {
	Kind    string     `json:"kind"`
	Version uint64     `json:"version,omitempty"`
	IDs     []string   `json:"memory_ids,omitempty"`
	At      *time.Time `json:"at,omitempty"`
	Skipped uint64     `json:"skipped,omitempty"`
	Queue   string     `json:"queue,omitempty"`
	Fill    float32    `json:"fill,omitempty"`
	Resume  uint64     `json:"resume"`
}

func (c *watchCommand) print(n client.Notice) error {
	if c.env.json {
		out := noticeJSON{Kind: n.Kind.String(), Version: n.Version, IDs: n.IDs, Skipped: n.Skipped, Fill: n.Fill, Resume: n.Resume}
		if !n.At.IsZero() {
			out.At = &n.At
		}
		if n.Kind == client.NoticeQueue {
			out.Queue = n.Queue.String()
		}
		return json.NewEncoder(c.env.stdout).Encode(out)
	}
	_, err := io.WriteString(c.env.stdout, noticeLine(c.space, n)+"\n")
	return err
}

// noticeLine renders a notice for a person.
func noticeLine(space string, n client.Notice) string {
	switch n.Kind {
	case client.NoticeStarted:
		return fmt.Sprintf("watching %q after version %d; Ctrl-C ends it", space, n.Version)
	case client.NoticeLagged:
		return fmt.Sprintf("%-9s %d versions up to %d were missed; list the space again", n.Kind, n.Skipped, n.Version)
	case client.NoticeQueue:
		return fmt.Sprintf("%-9s the server's queue is %s, %.0f %% full", n.Kind, n.Queue, 100*n.Fill)
	}
	if n.Kind == client.NoticeGraphed {
		return fmt.Sprintf("%s  %-9s %8d  the graph has all up to here", n.At.UTC().Format("15:04:05.000"), n.Kind, n.Version)
	}
	const shown = 5
	ids := make([]string, 0, shown+1)
	for _, id := range n.IDs[:min(len(n.IDs), shown)] {
		ids = append(ids, oneLine(id))
	}
	if more := len(n.IDs) - shown; more > 0 {
		ids = append(ids, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s  %-9s %8d  %s", n.At.UTC().Format("15:04:05.000"), n.Kind, n.Version, strings.Join(ids, ", "))
}
