package rpc

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ask(ctx context.Context, t *testing.T, method, url string) (status int, header http.Header, text string) {
	t.Helper()
	closeIdle(t)
	r, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	require.NoError(t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(body)
}

// TestWhatIsNoCallIsSaid: with what to do instead, where Connect and net/http send a status alone.
func TestWhatIsNoCallIsSaid(t *testing.T) {
	server, _ := serve(t, inlet{}, protocols...)
	const service = "/engram.v1.MemoryService/"
	for _, c := range []struct {
		method, path string
		status       int
		says         string
	}{
		{http.MethodPost, service + "Recal", http.StatusNotFound, `did you mean "/engram.v1.MemoryService/Recall"?`},
		{http.MethodGet, service + "Observ", http.StatusNotFound, `did you mean "/engram.v1.MemoryService/Observe"?`},
		{http.MethodPost, "/engram.v1.Nothing/Else", http.StatusNotFound, "calls are POST /engram.v1.MemoryService/Recall and the like"},
		{http.MethodGet, "/", http.StatusNotFound, `no call has the path "/"`},
		{http.MethodGet, service + "Observe", http.StatusMethodNotAllowed, "this call is made with POST"},
		{http.MethodGet, "/engram.v1.FlowService/Watch", http.StatusMethodNotAllowed, "this call is made with POST"},
		{http.MethodPut, service + "Recall", http.StatusMethodNotAllowed, "this call is made with POST"},
		{http.MethodGet, service + "Recall", http.StatusUnsupportedMediaType, "?connect=v1&encoding=json&message={}"},
		{http.MethodGet, service + "Recall?encoding=xml", http.StatusUnsupportedMediaType, "?connect=v1&encoding=json&message={}"},
	} {
		status, header, text := ask(t.Context(), t, c.method, server.URL+c.path)
		assert.Equal(t, c.status, status, "%s %s", c.method, c.path)
		assert.Contains(t, text, c.says, "%s %s", c.method, c.path)
		if status == http.StatusMethodNotAllowed {
			assert.Contains(t, header.Get("Allow"), "POST")
		}
	}
	status, _, text := ask(t.Context(), t, http.MethodGet, server.URL+service+"Get?connect=v1&encoding=json&message="+url.QueryEscape(`{"ids":[]}`))
	assert.Equal(t, http.StatusBadRequest, status, "a call: it is the message that is refused")
	assert.Contains(t, text, "invalid_argument")
	for _, path := range []string{"/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/Nope"} {
		status, _, text := ask(t.Context(), t, http.MethodPost, server.URL+path)
		assert.NotContains(t, text, "no call has", "%s: %d", path, status)
	}
}
