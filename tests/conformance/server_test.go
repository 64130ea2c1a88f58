package conformance

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/app"
	"github.com/engram-stream/engram/transports"
)

// sourceName is what the default pipeline calls its source.
const sourceName = "rpc"

// running is a server as the binary runs it, with the default pipeline behind one source.
type running struct {
	t        testing.TB
	server   *app.Server
	listener *listener
}

// start starts a server whose one source is as said.
func start(t testing.TB, folder, source string, settings map[string]string, kinds func(*graph.Registry, *transports.Hub)) *running {
	t.Helper()
	const standard = "  rpc: { transport: rpc, protocols: [connect, grpc, grpc-web] }"
	text := string(config.Default())
	require.Contains(t, text, standard)
	text = strings.Replace(text, standard, "  "+sourceName+": "+source, 1)
	overrides := []config.Override{override("data", filepath.Join(folder, "data"))}
	for path, value := range settings {
		if stage, left := strings.CutPrefix(path, "without."); left {
			text = leaveOut(t, text, stage)
			continue
		}
		if at, ofStage := strings.CutPrefix(path, "stages."); ofStage {
			text = setStage(t, text, at, value)
			continue
		}
		overrides = append(overrides, override(path, value))
	}
	file := filepath.Join(folder, "pipeline.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	l := listen()
	s, err := app.New(app.Config{
		File: file, Overrides: overrides, LookupEnv: func(string) (string, bool) { return "", false },
		Listener: l, Kinds: kinds,
	})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	return &running{t: t, server: s, listener: l}
}

// setStage sets a key that stands in a stage's line of the default pipeline: "admit.reject_at".
func setStage(t testing.TB, text, path, value string) string {
	t.Helper()
	stage, key, _ := strings.Cut(path, ".")
	line := regexp.MustCompile(`(?m)^(  ` + stage + `: \{.*\b` + key + `: )[^,} ]+`)
	require.Regexp(t, line, text)
	return line.ReplaceAllString(text, "${1}"+value)
}

// leaveOut takes a stage's line out of the default pipeline, and joins those around it.
func leaveOut(t testing.TB, text, stage string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^  ` + stage + `: \{ from: ([a-z]+).*\n`)
	found := line.FindStringSubmatch(text)
	require.NotNil(t, found)
	return strings.ReplaceAll(strings.Replace(text, found[0], "", 1), "from: "+stage+",", "from: "+found[1]+",")
}

func override(path, value string) config.Override {
	return config.Override{Path: path, Value: value, Layer: config.Flags, Name: "the scenario"}
}

// Stop implements transporttest.Server.
func (r *running) Stop(ctx context.Context) error { return r.server.Stop(ctx) }
