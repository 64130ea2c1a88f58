package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sourcegraph/conc/pool"
	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/internal/dataset"
)

const (
	// pendingRows bounds the rows sent and not yet answered; the session's own buffer bounds them in bytes.
	pendingRows = 8192
	// shownRejections bounds the rejections that are spelt out; the rest are counted.
	shownRejections = 10
	closeTimeout    = 10 * time.Second
)

func newObserveCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "observe SPACE FILE", Short: "Stream a file of observations into a space",
		Long: "observe streams rows into a space and returns when each is durable and findable, or rejected.\n\n" +
			"FILE is JSONL (.jsonl, .ndjson), images in MNIST's format (idx3-ubyte), either with .gz, or - for JSONL from\n" +
			"standard input. A line of JSONL has the keys of an observation: id, content, metadata, observed_at, confidence,\n" +
			"and embedding (a list) or embedding_f32 (base64 of little-endian float32). Images are named by file and number\n" +
			"from 0: t10k-images-00017. What has an id that is known replaces it.",
		Example: "  engram observe notes notes.jsonl\n" +
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
	session, err := c.Open(ctx, space, client.SessionOptions{})
	if err != nil {
		return err
	}
	start := time.Now()
	feed := &feed{env: env, session: session, input: input, file: file, rejections: []rejectionJSON{}}
	err = feed.run(ctx)
	closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_, closeErr := session.Close(closeCtx)
	if err = errors.Join(err, closeErr); err != nil {
		return fmt.Errorf("%w (%d observations were committed, as the session %s)", err, feed.committed, session.Ticket().SessionID)
	}
	took := time.Since(start).Seconds()
	r := observeReport{
		Space: space, Session: session.Ticket().SessionID, Committed: feed.committed, Rejected: feed.rejected, Rejections: feed.rejections,
		Seconds: took, PerSecond: float64(feed.committed) / took,
	}
	if err := env.printer().print(r, func(w io.Writer) { r.write(w) }); err != nil {
		return err
	}
	return rejectedExit(feed.rejected)
}

func (r *observeReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s committed to %q in %.1f s (%.0f/s), %d rejected\n",
		plural(r.Committed, "observation"), r.Space, r.Seconds, r.PerSecond, r.Rejected)
}

// feed sends rows on one goroutine and takes their outcomes on another.
type feed struct {
	env     *environment
	session *client.Session
	input   *dataset.Input
	file    string
	bar     *progress

	committed, rejected uint64
	rejections          []rejectionJSON // the first of them
}

type sentRow struct {
	line     int
	consumed int64 // of the input, when the row had been read
	pending  *client.Pending
}

// run ends when everything that was sent has its outcome, also when the input turns out bad in the middle.
func (f *feed) run(ctx context.Context) error {
	f.bar = newFileProgress(f.env.stderr, isTerminal(f.env.stderr), f.input.Size(), f.file)
	sent := make(chan sentRow, pendingRows)
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	p := pool.New().WithErrors().WithFirstError()
	p.Go(func() error {
		defer close(sent)
		return f.send(sending, sent)
	})
	p.Go(func() error {
		defer stopSending()
		for s := range sent {
			if err := f.settle(ctx, s); err != nil {
				return err
			}
			f.bar.add(s.consumed)
		}
		return nil
	})
	err := p.Wait()
	f.bar.end(err == nil)
	return err
}

func (f *feed) send(ctx context.Context, sent chan<- sentRow) error {
	for {
		row, err := f.input.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		pending, err := f.session.Observe(ctx, observation(&row))
		if err != nil {
			return fmt.Errorf("%s:%d: %w", f.name(), row.Line, err)
		}
		select {
		case sent <- sentRow{line: row.Line, consumed: f.input.Consumed(), pending: pending}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func observation(r *dataset.Row) client.Observation {
	return client.Observation{
		ID: r.ID, Content: r.Content, Metadata: r.Metadata, Embedding: r.Embedding,
		ObservedAt: r.ObservedAt, Confidence: r.Confidence,
	}
}

func (f *feed) settle(ctx context.Context, s sentRow) error {
	err := s.pending.Wait(ctx)
	if err == nil {
		f.committed++
		return nil
	}
	rejection, ok := errors.AsType[*client.RejectedError](err)
	if !ok {
		return err
	}
	f.rejected++
	if f.rejected <= shownRejections {
		f.rejections = append(f.rejections, rejectionJSON{Line: s.line, Field: rejection.Field, Reason: rejection.Reason})
	}
	if f.env.json {
		return nil
	}
	switch {
	case f.rejected <= shownRejections:
		f.bar.say(fmt.Sprintf("%s:%d: rejected: %s: %s", f.name(), s.line, rejection.Field, rejection.Reason))
	case f.rejected == shownRejections+1:
		f.bar.say("further rejections are only counted")
	}
	return nil
}

func (f *feed) name() string {
	if f.file == dataset.Stdin {
		return "stdin"
	}
	return f.file
}
