package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/transports"
)

// gate is a stage that holds all that comes until it is opened.
type gate struct{ opened chan struct{} }

// Process implements graph.Stage.
func (g gate) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Op]) error {
	select {
	case <-g.opened:
		return out.Send(ctx, in)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) register(r *graph.Registry, _ *transports.Hub) {
	graph.Register(r, "gate", graph.Doc{Summary: "Holds everything.", Traits: graph.Traits{Ordered: true}}, struct{}{},
		func(struct{}, graph.Deps) (graph.Stage[session.Op, session.Op], error) { return g, nil })
}

// gatedServer runs the built-in pipeline with a gate behind the admission.
func gatedServer(t *testing.T, dir string, g gate) *Server {
	t.Helper()
	const was, is = "coalesce: { from: embed,", "gate: { from: embed, edge: { items: 20000, bytes: 256MiB } }\n  coalesce: { from: gate,"
	text := string(config.Default())
	require.Contains(t, text, was)
	file := filepath.Join(t.TempDir(), "pipeline.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(text, was, is, 1)), 0o600))
	s, err := New(Config{
		File: file, Overrides: []config.Override{flag("listen", "127.0.0.1:0"), flag("data", dir)}, LookupEnv: noEnvironment, Kinds: g.register,
	})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stop(t, s) })
	return s
}

// copied returns frames that may be numbered apart from these.
func copied(frames [][]byte) (all [][]byte) {
	for _, frame := range frames {
		all = append(all, bytes.Clone(frame))
	}
	return all
}

// TestAStopAppliesAllThatWasReceived: ten thousand observations of 768 components, in frames of 100 and one by one, of as many
// spaces as there are streams, all still wait before the journal when the stop begins. All are stored when the server has
// stopped, and that takes less than five seconds.
func TestAStopAppliesAllThatWasReceived(t *testing.T) {
	const streams, items, singles = 40, 100, 100
	frames := 4
	if raced { // which makes all of it some five times as slow; make test runs the whole without
		frames = 1
	}
	total := streams / 2 * (items*frames + singles)
	dir := t.TempDir()
	g := gate{make(chan struct{})}
	s, h := gatedServer(t, dir, g), h2c(t)
	batches, ones := newRawFrames(frames, items, true), newRawFrames(singles, 1, true)
	flows := make([]*rawFlow, streams)
	for i := range flows {
		space := fmt.Sprintf("space-%d", i)
		if i%2 == 0 {
			flows[i] = newRawFlow(t, s, h, space, items, copied(batches))
		} else {
			flows[i] = newRawFlow(t, s, h, space, 1, copied(ones))
		}
	}
	var sending conc.WaitGroup
	for _, f := range flows {
		sending.Go(func() {
			for range f.frames {
				f.post()
			}
		})
	}
	sending.Wait()
	require.Eventually(t, func() bool { return s.hub.Tally().InFlight == uint64(total) }, time.Minute, time.Millisecond)
	began := time.Now()
	close(g.opened)
	require.NoError(t, s.Stop(context.Background()))
	took := time.Since(began)
	t.Logf("the stop took %v", took)
	assert.Less(t, took, 5*time.Second)
	again := startServer(t, dir)
	assert.EqualValues(t, total, stats(t, again).GetCommitted())
}
