package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/grpchealth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/transports"
)

// inlet answers every offer with what refuse returns; it panics without one.
type inlet struct{ refuse func() error }

func (i inlet) Offer(_ context.Context, o graph.Offer[session.Incoming]) error {
	err := i.refuse()
	for n := range o.Items {
		o.Settler.Settle(n, graph.Outcome{Err: err})
	}
	return err
}

// noEmbedding is a server without an embedder.
type noEmbedding struct{}

func (noEmbedding) Embedder() memory.Embedder { return nil }

// serve answers with an rpc source on a loopback port.
func serve(t *testing.T, i inlet, protocols ...string) (*httptest.Server, *transports.Hub) {
	t.Helper()
	hub := transports.NewHub()
	source := &Source{
		config: Config{Protocols: protocols}, hub: hub,
		services: transports.Services{
			Inlet: i, Logger: slog.New(slog.DiscardHandler), Embedding: graph.NewHandle[transports.Embedding](noEmbedding{}),
		},
	}
	server := httptest.NewUnstartedServer(source.Handler(Options{
		Limits: transports.Limits{MessageBytes: 1 << 20, Streams: 8, Calls: 2, AnswerBytes: 1 << 20, RecallLimit: 10},
		Health: grpchealth.NewStaticChecker(Services()...), Ready: func() error { return nil },
	}))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server, hub
}

const observation = `{"space":"notes","observations":[{"embedding":[1,0]}]}`

func post(t *testing.T, url, kind, body string) (status int, header http.Header, text []byte) {
	t.Helper()
	closeIdle(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+engramv1connect.MemoryServiceObserveProcedure, bytes.NewBufferString(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, text
}

func TestOverloadIs429WithRetryAfter(t *testing.T) {
	server, hub := serve(t, inlet{func() error {
		return &session.Refusal{Verdict: session.Nacked, Nack: session.NackResourceExhausted, Retry: 300 * time.Millisecond, Fill: 0.93}
	}}, protocols...)
	status, header, text := post(t, server.URL, "application/json", observation)
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Equal(t, "1", header.Get("Retry-After"))
	var answer struct {
		Code    string
		Message string
		Details []struct{ Type string }
	}
	require.NoError(t, json.Unmarshal(text, &answer))
	assert.Equal(t, "resource_exhausted", answer.Code)
	assert.Contains(t, answer.Message, "93 %")
	types := make([]string, len(answer.Details))
	for i, d := range answer.Details {
		types[i] = d.Type
	}
	assert.Contains(t, types, "google.rpc.RetryInfo")
	assert.Equal(t, session.Tally{Offered: 1, Nacked: 1}, hub.Tally())
}

func TestAContentTypeThatIsNoneIsSaid(t *testing.T) {
	server, _ := serve(t, inlet{}, protocols...)
	for _, kind := range []string{"", "application/x-www-form-urlencoded"} { // the latter is what curl -d sends
		status, _, text := post(t, server.URL, kind, observation)
		assert.Equal(t, http.StatusUnsupportedMediaType, status)
		assert.Contains(t, string(text), "application/json")
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	server, _ := serve(t, inlet{}, protocols...)
	status, _, text := post(t, server.URL, "application/json", observation)
	assert.Equal(t, http.StatusInternalServerError, status)
	assert.Contains(t, string(text), "internal")
	assert.NotContains(t, string(text), "nil pointer", "what the server is made of stays in its log")
}

func TestOnlyTheNamedProtocolsAreSpoken(t *testing.T) {
	refuse := inlet{func() error { return graph.ErrDraining }}
	for protocol, kind := range map[string]string{
		Connect: "application/json", GRPC: "application/grpc+proto", GRPCWeb: "application/grpc-web+proto",
	} {
		server, _ := serve(t, refuse, protocol)
		for other, otherKind := range map[string]string{Connect: "application/json", GRPC: "application/grpc", GRPCWeb: "application/grpc-web"} {
			status, _, text := post(t, server.URL, otherKind, observation)
			if other == protocol {
				assert.NotEqual(t, http.StatusUnsupportedMediaType, status, kind)
				continue
			}
			assert.Equal(t, http.StatusUnsupportedMediaType, status, "%s on a server of %s", other, protocol)
			assert.Contains(t, string(text), protocol, "it says what it speaks")
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		protocols []string
		problems  int
	}{
		"all": {protocols, 0}, "one": {[]string{GRPC}, 0}, "none": {nil, 1}, "unknown": {[]string{"soap", "smtp"}, 2}, "twice": {[]string{GRPC, GRPC}, 1},
	} {
		found := 0
		Config{Protocols: c.protocols}.Check(func(field, message, _ string) {
			assert.Equal(t, "protocols", field)
			assert.NotEmpty(t, message)
			found++
		})
		assert.Equal(t, c.problems, found, name)
	}
}

func TestNotReadyIsUnavailable(t *testing.T) {
	source := &Source{config: Config{Protocols: protocols}, hub: transports.NewHub(), services: transports.Services{Logger: slog.New(slog.DiscardHandler)}}
	server := httptest.NewServer(source.Handler(Options{
		Limits: transports.Limits{MessageBytes: 1 << 20, Streams: 1, Calls: 1},
		Health: grpchealth.NewStaticChecker(), Ready: func() error { return fault.New(fault.Unavailable, "replaying") },
	}))
	t.Cleanup(server.Close)
	status, _, text := post(t, server.URL, "application/json", observation)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, string(text), "replaying")
}
