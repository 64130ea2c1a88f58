package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/engram-stream/engram/client"
	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/app"
	"github.com/engram-stream/engram/internal/dataset"
	"github.com/engram-stream/engram/internal/dataset/fashionmnist"
)

const (
	demoSpace    = "fashion"
	demoQueries  = 100 // exact answers compared with the server's
	demoK        = 10
	demoInFlight = 1024
	demoExample  = 9999 // the row whose neighbours are shown

	demoInGraph      = 0.85 // of the rows, before recalls are compared
	demoGraphTimeout = time.Minute
)

func newDemoCommand(env *environment) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Stream 10,000 real vectors into a throw-away server and recall them meanwhile",
		Long: "demo starts a server with the built-in pipeline on a free loopback port and a temporary folder, streams the\n" +
			"10,000 test images of Fashion-MNIST over one bidirectional gRPC stream, recalls on that stream while it does,\n" +
			"and compares recalls with an exact scan of its own, when most of the images are in the space's graph (which a\n" +
			"space has from 2,000 vectors on here, and from 50,000 by default). Then it observes a few sentences as text and recalls by text.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), env, keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the server running and say what to try next")
	return cmd
}

func demo(ctx context.Context, env *environment, keep bool) (err error) {
	rows, err := fashionmnist.Rows()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "engram-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return withServer(ctx, dir, func(ctx context.Context, address string) error {
		if !env.json {
			fmt.Fprintf(env.stdout, "a server of its own on %s, data in %s\n", address, dir)
		}
		report, err := runDemo(ctx, env, address, rows)
		if err != nil {
			return err
		}
		if err := env.printer().print(report, func(w io.Writer) { report.write(w) }); err != nil {
			return err
		}
		if err := report.check(); err != nil || !keep {
			return err
		}
		self := invocation(os.Args[0])
		fmt.Fprintf(env.stderr, demoNext, self, address, self, address, address, self, address)
		<-ctx.Done()
		return nil
	})
}

const demoNext = `
The server goes on until you press Ctrl-C; its folder is deleted then. Try, in another terminal:

  %s recall life --text 'is she afraid of flying?' --limit 3 --address %s
  %s recall fashion --like fashion-00042 --limit 5 --address %s
  curl -s http://%s/engram.v1.AdminService/ListSpaces -H 'content-type: application/json' -d '{}'
  echo '{"id":"mine","content":"my own","embedding":[1,0,0]}' | %s observe mine - --address %s
`

// demoPipeline is the built-in one, but for a graph that a space of 2,000 vectors is worth: the demo has 10,000.
func demoPipeline() []byte {
	return bytes.Replace(config.Default(), []byte("graph_from: 50000"), []byte("graph_from: 2000"), 1)
}

// withServer runs use against a server of our own on a free loopback port, and stops it after.
func withServer(ctx context.Context, dir string, use func(ctx context.Context, address string) error) error {
	pipeline := filepath.Join(dir, "pipeline.yaml")
	if err := os.WriteFile(pipeline, demoPipeline(), 0o600); err != nil {
		return fmt.Errorf("write the demo's pipeline: %w", err)
	}
	server, err := app.New(app.Config{
		File: pipeline,
		Overrides: []config.Override{
			{Path: "listen", Value: "127.0.0.1:0", Layer: config.Flags, Name: "demo"},
			{Path: "data", Value: filepath.Join(dir, "data"), Layer: config.Flags, Name: "demo"},
		},
	})
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return brokenOff(ctx, err)
	}
	useErr := brokenOff(ctx, use(ctx, server.Address()))
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(useErr, server.Stop(stopCtx))
}

// brokenOff is the end of a demo that Ctrl-C stopped, rather than what it was doing then.
func brokenOff(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &exitError{code: exitInterrupted, err: errors.New("interrupted before the demo was done")}
	}
	return err
}

func runDemo(ctx context.Context, env *environment, address string, rows []dataset.Row) (*demoReport, error) {
	c, err := client.New(address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// A small buffer: what waits in it counts into the latency of an ack.
	session, err := c.Open(ctx, demoSpace, client.SessionOptions{BufferItems: demoInFlight})
	if err != nil {
		return nil, err
	}
	d := newDemoRun(env, session, rows)
	runErr := d.run(ctx)
	closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	final, err := session.Close(closeCtx)
	if err = errors.Join(runErr, err); err != nil {
		return nil, err
	}
	d.report.FinalSequence = final
	stats, err := c.Stats(ctx, "")
	if err != nil {
		return nil, err
	}
	d.report.Offered, d.report.Accepted = stats.Offered, stats.Accepted
	d.report.Text, err = runTextDemo(ctx, c)
	return &d.report, err
}
