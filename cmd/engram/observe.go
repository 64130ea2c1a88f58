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
	var f observeFlags
	cmd := &cobra.Command{
		Use: "observe SPACE (FILE | --text TEXT)", Short: "Stream a file of observations, or text, into a space",
		Long: "observe streams rows into a space and returns when each is durable and findable, or rejected.\n\n" +
			"FILE is JSONL (.jsonl, .ndjson), text (.txt, a memory a line, named by file and line), an array of NumPy (.npy: two\n" +
			"dimensions of float16, float32 or float64), vectors as ANN benchmarks have them (.fvecs, .bvecs, .fbin, .u8bin), images in MNIST's\n" +
			"format (idx3-ubyte), each also with .gz, or - for JSONL from standard input. A line of JSONL has the keys of an\n" +
			"observation: id, content, metadata, observed_at, confidence, and embedding (a list) or embedding_f32 (base64 of\n" +
			"little-endian float32). Vectors and images are named by file and number from 0: t10k-images-00017. What has an id\n" +
			"that is known replaces it; a line of JSONL without one is stored anew each time.\n\n" +
			"What has content and no embedding gets one on the server, by the space's embedder: see engram spaces. The built-in\n" +
			"one, lexical, matches words and spellings, not meaning.\n\n" +
			"When it is broken off, by Ctrl-C or a crash, the same command goes on behind what is committed: until it is done,\n" +
			"FILE" + checkpointSuffix + " (or --resume) holds the session, which the server keeps for a day. A file that was changed meanwhile,\n" +
			"or another space, is refused; --restart begins again. Standard input, and a file behind a row that had to be mended,\n" +
			"are gone on with by --skip, as the command says itself.",
		Example: "  engram observe diary --text 'likes green tea'\n  engram observe notes notes.jsonl\n  engram observe faces faces.npy\n" +
			`  echo '{"id":"tea","content":"likes tea","embedding":[1,0,0]}' | engram observe notes -`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			f.given = cmd.Flags().Changed("text")
			if f.resume == "" && cmd.Flags().Changed("resume") {
				return usageError("--resume: it is empty; name a file, which need not exist")
			}
			f.remember(cmd, os.Args[0], a)
			return observe(cmd.Context(), env, a[0], &f, a[1:])
		},
	}
	f.add(cmd)
	env.addAddress(cmd)
	cmd.Flags().StringVar(&f.text, "text", "", `observe this text as one memory, or with "-" each line of standard input`)
	return cmd
}

// open opens what is to be observed, and names it.
func (f *observeFlags) open(env *environment, files []string) (input *dataset.Input, name string, err error) {
	switch {
	case f.given == (len(files) == 1):
		return nil, "", usageError("give a file or --text, one of them (see: engram observe --help)")
	case !f.given:
		input, err = dataset.Open(files[0], env.stdin)
		return input, files[0], err
	case f.text == dataset.Stdin:
		return dataset.Lines("stdin", env.stdin), dataset.Stdin, nil
	case strings.TrimSpace(f.text) == "":
		return nil, "", usageError("--text: there is nothing in it")
	}
	return dataset.One(dataset.Row{Content: f.text}), "--text", nil
}

type observeReport struct {
	Space     string `json:"space"`
	Session   string `json:"session_id"`
	Skipped   uint64 `json:"skipped,omitempty"` // rows that a run before has sent
	Committed uint64 `json:"committed"`
	Rejected  uint64 `json:"rejected"`
	// Among the rows of runs before.
	RejectedBefore uint64 `json:"rejected_before,omitempty"`
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

func observe(ctx context.Context, env *environment, space string, f *observeFlags, files []string) error {
	if err := checkSpace(space); err != nil {
		return err
	}
	input, name, err := f.open(env, files)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	defer input.Close()
	kept, err := f.checkpoint(space, files)
	if err != nil {
		return err
	}
	c, err := env.client()
	if err != nil {
		return err
	}
	defer c.Close()
	feed := newFeed(env, input, name, f.skip, kept)
	switch err := feed.open(ctx, c, space); {
	case errors.Is(err, errAllSent):
		r := observeReport{
			Space: space, Session: kept.state.Ticket.SessionID, Skipped: feed.skip, RejectedBefore: feed.before, Rejections: feed.rejections,
		}
		return errors.Join(env.printer().print(r, func(w io.Writer) { r.write(w) }), rejectedExit(0, feed.before))
	case err != nil:
		return err
	}
	start := time.Now()
	if err = feed.keepFirst(f); err == nil {
		err = feed.run(ctx)
	}
	err = feed.end(ctx, err)
	took := time.Since(start).Seconds()
	r := observeReport{
		Space: space, Session: feed.session.Ticket().SessionID, Skipped: feed.skip,
		Committed: feed.committed, Rejected: feed.rejected, RejectedBefore: feed.before, Rejections: feed.rejections,
		Seconds: took, PerSecond: float64(feed.committed) / took,
	}
	if err != nil {
		r.Committed = feed.session.Stats().Committed // the feed may not have looked at the last of them
		if env.json {                                // standard error has no place for what was rejected
			err = errors.Join(err, env.printer().print(r, nil))
		}
		return unfinished(ctx, err, feed.session.Stats(), r.Session, feed.next(f, err))
	}
	if err := env.printer().print(r, func(w io.Writer) { r.write(w) }); err != nil {
		return err
	}
	return rejectedExit(feed.rejected, feed.before)
}

// unfinished says how far it came, why no further, and what is next.
func unfinished(ctx context.Context, err error, s client.SessionStats, session, next string) error {
	far := fmt.Sprintf("%s committed, as the session %s", plural(s.Committed, "observation"), session)
	if s.Buffered > 0 {
		far += fmt.Sprintf("; %d more not confirmed", s.Buffered)
	}
	if next != "" {
		far += "; " + next
	}
	if ctx.Err() != nil {
		return &exitError{code: exitInterrupted, err: fmt.Errorf("interrupted: %s", far)}
	}
	return fmt.Errorf("%w (%s)", err, far)
}

func (r *observeReport) write(w io.Writer) {
	before := ""
	if r.Skipped > 0 {
		before = fmt.Sprintf(", behind %s of a run before", plural(r.Skipped, "row"))
		if r.RejectedBefore > 0 {
			before += fmt.Sprintf(" (%d rejected)", r.RejectedBefore)
		}
	}
	fmt.Fprintf(w, "%s committed to %q in %.1f s (%.0f/s), %d rejected%s\n",
		plural(r.Committed, "observation"), r.Space, r.Seconds, r.PerSecond, r.Rejected, before)
}
