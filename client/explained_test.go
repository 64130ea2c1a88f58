package client

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// notGRPC starts a server that answers each call so.
func notGRPC(t *testing.T, status int, body string) *Client {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, body, status)
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return connectTo(t, server.URL)
}

func TestAnAnswerThatIsNoRPCIsExplained(t *testing.T) {
	for _, c := range []struct {
		status int
		code   connect.Code
		body   string
		says   string
	}{
		{415, connect.CodeUnimplemented, "this server speaks connect\n", `HTTP 415 Unsupported Media Type, "this server speaks connect"; this client speaks gRPC`},
		{404, connect.CodeUnimplemented, "", "HTTP 404 Not Found; this client speaks gRPC"},
		{503, connect.CodeUnavailable, "no\n healthy upstream", `HTTP 503 Service Unavailable, "no healthy upstream"`},
		{500, connect.CodeUnknown, "oops", `HTTP 500 Internal Server Error, "oops"`},
	} {
		client, ctx := notGRPC(t, c.status, c.body), deadline(t)
		_, opened := client.Open(ctx, "notes", SessionOptions{})
		_, recalled := client.Recall(ctx, "notes", Query{})
		for op, err := range map[string]error{"open session": opened, "recall": recalled} {
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, op, e.Op)
			assert.Equal(t, c.code, e.Code)
			assert.ErrorContains(t, err, c.says)
			assert.ErrorContains(t, err, "engram: "+op+": ")
		}
	}
}
