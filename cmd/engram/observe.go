package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset"
)

const (
	// shownRejections bounds the rejections that are spelt out; the rest are counted.
	shownRejections = 10
	closeTimeout    = 10 * time.Second
	// interruptedTimeout is how long what was sent may still get its outcome after Ctrl-C. A second one ends at once.
	interruptedTimeout = 2 * time.Second
)

func newObserveCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "observe SPACE FILE", Short: "Stream a file of observations into a space",
		Long: "observe streams rows into a space and returns when each is durable and findable, or rejected.\n\n" +
			"FILE is JSONL (.jsonl, .ndjson), an array of NumPy (.npy: two dimensions of float16, float32 or float64), vectors as\n" +
			"ANN benchmarks have them (.fvecs, .bvecs), images in MNIST's format (idx3-ubyte), each also with .gz, or - for JSONL\n" +
			"from standard input. A line of JSONL has the keys of an observation: id, content, metadata, observed_at, confidence,\n" +
			"and embedding (a list) or embedding_f32 (base64 of little-endian float32). Rows of the others are named by file and\n" +
			"number from 0: t10k-images-00017. What has an id that is known replaces it.",
		Example: "  engram observe notes notes.jsonl\n  engram observe faces faces.npy\n" +
			`  echo '{"id":"tea","content":"likes tea","embedding":[1,0,0]}' | engram observe notes -`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error { return observe(cmd.Context(), env, a[0], a[1]) },
	}
	env.addAddress(cmd)
	return cmd
}

type observeReport struct {
	Space     string `json:"space"`
	Session   string `json:"session_id"`
	Committed uint64 `json:"committed"`
	Rejected  uint64 `json:"rejected"`
	// The first rejections, spelt out.
	Rejections []rejectionJSON `json:"rejections"`

	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
}

type rejectionJSON struct {
	Line   int    `json:"line"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

func observe(ctx context.Context, env *environment, space, file string) error {
	if err := checkSpace(space); err != nil {
		return err
	}
	input, err := dataset.Open(file, env.stdin)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	defer input.Close()
	c, err := env.client()
	if err != nil {
		return err
	}
	defer c.Close()
	feed := newFeed(env, input, file)
	session, err := c.Open(ctx, space, client.SessionOptions{OnEvent: feed.event})
	if err != nil {
		return err
	}
	start := time.Now()
	err = feed.run(ctx, session)
	if closeErr := closeSession(ctx, session); err == nil {
		err = closeErr // otherwise it only says again that the session failed, or what was rejected
	}
	took := time.Since(start).Seconds()
	r := observeReport{
		Space: space, Session: session.Ticket().SessionID, Committed: feed.committed, Rejected: feed.rejected, Rejections: feed.rejections,
		Seconds: took, PerSecond: float64(feed.committed) / took,
	}
	if err != nil {
		if env.json { // standard error has no place for what was rejected
			err = errors.Join(err, env.printer().print(r, nil))
		}
		return unfinished(ctx, err, session.Stats(), r.Session)
	}
	if err := env.printer().print(r, func(w io.Writer) { r.write(w) }); err != nil {
		return err
	}
	return rejectedExit(feed.rejected)
}

func closeSession(ctx context.Context, session *client.Session) error {
	patience := closeTimeout
	if ctx.Err() != nil {
		patience = interruptedTimeout
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := session.Close(closing)
	return err
}

// unfinished says how far it came, and why no further.
func unfinished(ctx context.Context, err error, s client.SessionStats, session string) error {
	far := fmt.Sprintf("%s committed, as the session %s", plural(s.Committed, "observation"), session)
	if s.Buffered > 0 {
		far += fmt.Sprintf("; %d more not confirmed", s.Buffered)
	}
	if ctx.Err() != nil {
		return &exitError{code: exitInterrupted, err: fmt.Errorf("interrupted: %s", far)}
	}
	return fmt.Errorf("%w (%s)", err, far)
}

func (r *observeReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s committed to %q in %.1f s (%.0f/s), %d rejected\n",
		plural(r.Committed, "observation"), r.Space, r.Seconds, r.PerSecond, r.Rejected)
}
