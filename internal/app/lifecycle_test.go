package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/transports/rpc"
)

func page(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address()+path, http.NoBody)
	require.NoError(t, err)
	response, err := http1(t).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func TestReadyWithinASecondOnAnEmptyFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	began := time.Now()
	s := startServer(t, dir)
	assert.Less(t, time.Since(began), time.Second)
	for _, path := range []string{"/livez", "/healthz", "/readyz"} {
		status, _ := page(t, s, path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "the folder is the user's alone")
}

func TestNotReadyIsSaidOnEveryRoad(t *testing.T) {
	s := startServer(t, t.TempDir())
	health := grpchealth.NewClient(h2c(t), "http://"+s.Address(), connect.WithGRPC())
	serving, err := health.Check(t.Context(), &grpchealth.CheckRequest{Service: rpc.Services()[0]})
	require.NoError(t, err)
	assert.Equal(t, grpchealth.StatusServing, serving.Status)
	for _, p := range []phase{starting, draining} {
		s.state.set(p)
		status, text := page(t, s, "/readyz")
		assert.Equal(t, http.StatusServiceUnavailable, status, text)
		answer, err := health.Check(t.Context(), &grpchealth.CheckRequest{})
		require.NoError(t, err)
		assert.Equal(t, grpchealth.StatusNotServing, answer.Status)
		status, _ = page(t, s, "/livez")
		assert.Equal(t, http.StatusOK, status)
	}
	s.state.set(starting)
	status, _, answer := curl(t, s, "AdminService/ListSpaces", `{}`)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, answer["message"], "/readyz")
	f := dial(t, s)
	require.NoError(t, f.stream.Send(nil))
	assert.Equal(t, connect.CodeUnavailable, f.failure().Code())
	s.state.set(ready)
}

func TestReflection(t *testing.T) {
	s := startServer(t, t.TempDir())
	client := grpcreflect.NewClient(h2c(t), "http://"+s.Address(), connect.WithGRPC())
	stream := client.NewStream(t.Context())
	names, err := stream.ListServices()
	require.NoError(t, err)
	found := make([]string, len(names))
	for i, n := range names {
		found[i] = string(n)
	}
	assert.ElementsMatch(t, rpc.Services(), found)
	_, err = stream.Close()
	require.NoError(t, err)
}

func TestALockedFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	startServer(t, dir)
	second := makeServer(t, dir)
	err := second.Start(t.Context())
	require.Error(t, err)
	assert.Equal(t, "FOLDER_LOCKED", fault.As(err).Reason)
	assert.Contains(t, err.Error(), dir)
	assert.Contains(t, err.Error(), strconv.Itoa(os.Getpid()), "the holder is named")
}

func TestAStoppedServerLeavesItsFolder(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, dir)
	stop(t, first)
	assert.Empty(t, first.Address())
	stop(t, first) // again does nothing
	startServer(t, dir)
}

func TestAnAddressInUseIsRefusedAndNothingStays(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	s := makeServer(t, dir, flag("listen", taken.Addr().String()))
	err = s.Start(t.Context())
	require.Error(t, err)
	assert.Contains(t, err.Error(), taken.Addr().String())
	assert.Contains(t, err.Error(), "--listen")
	startServer(t, dir) // the folder was unlocked
}

func TestAnAddressBeyondLoopbackNeedsInsecure(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		err := makeServer(t, t.TempDir(), flag("listen", address)).Start(t.Context())
		require.Error(t, err, address)
		assert.Contains(t, err.Error(), "--insecure", address)
	}
	listener, err := listen("0.0.0.0:0", true)
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	listener, err = listen("localhost:0", false)
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}

func TestAFolderThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	err := makeServer(t, file).Start(t.Context())
	require.Error(t, err)
	assert.Contains(t, err.Error(), file)
	assert.Contains(t, err.Error(), "--data")
}

func TestAPipelineThatWouldNotStart(t *testing.T) {
	_, err := New(Config{File: filepath.Join(t.TempDir(), "none.yaml")})
	assert.Equal(t, fault.NotFound, fault.KindOf(err))

	file := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte("version: 1\nlimits: { streams: 0 }\nsources: { rpc: { transport: rpc, protocols: [soap] } }\n"), 0o600))
	found, err := Validate(file)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(found), 2, "%v", found)
	invalid := &InvalidPipeline{}
	_, err = New(Config{File: file, LookupEnv: noEnvironment})
	require.ErrorAs(t, err, &invalid)
	assert.Contains(t, err.Error(), "soap")
	assert.Contains(t, err.Error(), file+":2:")

	found, err = Validate("")
	require.NoError(t, err)
	assert.Empty(t, found, "the embedded pipeline starts")
}

func TestTwoSourcesOnTheSamePaths(t *testing.T) {
	text := strings.Replace(string(config.Default()), "sources:\n", "sources:\n  other: { transport: rpc }\n", 1)
	text = strings.Replace(text, "from: rpc }", "from: [rpc, other] }", 1)
	file := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	found, err := Validate(file)
	require.NoError(t, err)
	require.Len(t, found, 1, "%v", found)
	assert.Contains(t, found[0].Error(), "same paths")
	assert.Positive(t, found[0].Pos.Line)
}

func TestTheEnvironmentIsUnderTheFlags(t *testing.T) {
	env := map[string]string{"ENGRAM_LISTEN": "127.0.0.1:1", "ENGRAM_DATA": "/from/env"}
	s, err := New(Config{
		Overrides: []config.Override{flag("listen", "127.0.0.1:0")},
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:0", s.Pipeline().Listen)
	assert.Equal(t, "/from/env", s.DataDir())
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := startServer(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Wait(ctx))
	require.Error(t, makeServer(t, t.TempDir()).Wait(ctx))
}

// bombs panics where no stage's code runs: a span of the journal, on the goroutine of its lane.
type bombs struct{ noop.TracerProvider }

type bomb struct{ noop.Tracer }

func (bombs) Tracer(string, ...trace.TracerOption) trace.Tracer { return bomb{} }

func (bomb) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	if name == "stage journal" {
		panic("boom")
	}
	kept := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
	return trace.ContextWithSpanContext(ctx, kept), noop.Span{}
}

func TestAPipelineThatFailedIsNotReadyAndEndsWait(t *testing.T) {
	s, err := New(Config{
		Overrides: []config.Override{flag("listen", "127.0.0.1:0"), flag("data", t.TempDir())},
		LookupEnv: noEnvironment, TracerProvider: bombs{},
	})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	f, _ := join(t, s, &engramv1.Hello{Space: "a"})
	f.observe(1, seen("x", 1, 0))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.ErrorContains(t, s.Wait(ctx), `the graph failed at "journal": boom`)
	status, text := page(t, s, "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, text, `the graph failed at "journal": boom`)
	status, _ = page(t, s, "/livez")
	assert.Equal(t, http.StatusOK, status)
	assert.ErrorContains(t, s.Stop(ctx), "boom")
}

// Calls whose message has not come yet count too: each may hold one in memory. Operators have places of their own.
func TestTooManyCallsAreRefusedByName(t *testing.T) {
	s := startServer(t, t.TempDir(), flag("limits.calls", "1"))
	slow, body := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Address()+"/engram.v1.MemoryService/Get", slow)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	var waiting sync.WaitGroup
	waiting.Go(func() {
		response, err := http1(t).Do(request)
		if assert.NoError(t, err) {
			assert.Equal(t, http.StatusNotFound, response.StatusCode, "it is answered in the end")
			assert.NoError(t, response.Body.Close())
		}
	})
	_, err = body.Write([]byte("{"))
	require.NoError(t, err)
	get := connect.NewRequest(&engramv1.GetRequest{Space: "none", MemoryIds: []string{"a"}})
	for kind, options := range threeProtocols {
		memories := engramv1connect.NewMemoryServiceClient(h2c(t), "http://"+s.Address(), options...)
		require.Eventually(t, func() bool {
			_, err = memories.Get(t.Context(), get)
			return connect.CodeOf(err) != connect.CodeNotFound
		}, patience, time.Millisecond, kind)
		assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), kind)
		assert.ErrorContains(t, err, "limits.calls", kind)
	}
	require.NotNil(t, stats(t, s), "an operator can look")
	_, err = body.Write([]byte(`"space":"none","memoryIds":["a"]}`))
	require.NoError(t, err)
	require.NoError(t, body.Close())
	waiting.Wait()
	_, err = memoryClient(t, s).Get(t.Context(), get)
	assert.Equal(t, connect.CodeNotFound, connect.CodeOf(err), "there is room again")
}

func TestTooManyStreamsAreRefusedByName(t *testing.T) {
	s := startServer(t, t.TempDir(), flag("limits.streams", "1"))
	join(t, s, faces())
	f := dial(t, s)
	require.NoError(t, f.stream.Send(nil))
	err := f.failure()
	assert.Equal(t, connect.CodeResourceExhausted, err.Code())
	assert.Contains(t, err.Message(), "limits.streams")
}
