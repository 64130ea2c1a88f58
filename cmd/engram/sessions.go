package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
)

func newSessionsCommand(env *environment) *cobra.Command {
	var space string
	cmd := &cobra.Command{
		Use: "sessions", Short: "List the sessions that can be resumed, or end one",
		Long: "sessions lists what the server keeps of its clients: who is connected (attached), and who may come back (detached)\n" +
			"and until when. COMMITTED is the number up to which everything of the session is stored.",
		Example: "  engram sessions --space notes\n  engram sessions end ID",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return listSessions(cmd.Context(), env, space) },
	}
	cmd.Flags().StringVar(&space, "space", "", "only the sessions of this space")
	env.addAddress(cmd)
	env.addTimeout(cmd)
	cmd.AddCommand(newEndSessionCommand(env))
	return cmd
}

func newEndSessionCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "end ID", Short: "End a session for good",
		Long: "end ends a session for good. What it has committed stays. Its client, if it is connected, is told to go away, and\n" +
			"cannot resume the session: it has to open a new one.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error { return endSession(cmd.Context(), env, a[0]) },
	}
	env.addAddress(cmd)
	env.addTimeout(cmd)
	return cmd
}

type sessionsReport struct {
	Sessions []sessionJSON `json:"sessions"`
}

type sessionJSON struct {
	ID        string     `json:"session_id"`
	Space     string     `json:"space"`
	State     string     `json:"state"`
	Epoch     uint64     `json:"epoch"`
	Committed uint64     `json:"committed_through"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func newSessionJSON(s *client.SessionInfo) sessionJSON {
	out := sessionJSON{ID: s.ID, Space: s.Space, State: s.State.String(), Epoch: s.Epoch, Committed: s.Committed}
	if !s.ExpiresAt.IsZero() {
		out.ExpiresAt = &s.ExpiresAt
	}
	return out
}

func listSessions(ctx context.Context, env *environment, space string) error {
	if space != "" {
		if err := checkSpace(space); err != nil {
			return err
		}
	}
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		sessions, err := c.Sessions(ctx, space)
		if err != nil {
			return err
		}
		r := sessionsReport{Sessions: []sessionJSON{}}
		for i := range sessions {
			r.Sessions = append(r.Sessions, newSessionJSON(&sessions[i]))
		}
		return env.printer().print(r, func(w io.Writer) { r.write(w) })
	})
}

func (r *sessionsReport) write(w io.Writer) {
	if len(r.Sessions) == 0 {
		fmt.Fprintln(w, "no sessions")
		return
	}
	rows := make([][]string, len(r.Sessions))
	for i, s := range r.Sessions {
		expires := ""
		if s.ExpiresAt != nil {
			expires = "in " + time.Until(*s.ExpiresAt).Round(time.Second).String()
		}
		rows[i] = []string{s.ID, s.Space, s.State, strconv.FormatUint(s.Epoch, 10), strconv.FormatUint(s.Committed, 10), expires}
	}
	table(w, []string{"SESSION", "SPACE", "STATE", "EPOCH", "COMMITTED", "EXPIRES"}, rows)
}

func endSession(ctx context.Context, env *environment, id string) error {
	return env.ask(ctx, func(ctx context.Context, c *client.Client) error {
		ended, err := c.EndSession(ctx, id)
		if err != nil {
			return err
		}
		return env.printer().print(newSessionJSON(ended), func(w io.Writer) {
			fmt.Fprintf(w, "ended %s; everything up to number %d stays in %q\n", ended.ID, ended.Committed, ended.Space)
		})
	})
}
