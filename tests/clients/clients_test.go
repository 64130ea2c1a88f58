package clients

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

const (
	h2     = "--http2-prior-knowledge"
	schema = "--schema"
)

// clientsOf are the clients of a server, by name, and those that speak HTTP/1.1, over which nobody can send a stream.
func clientsOf(t *testing.T, address string) (all map[string]client, http1 map[string]client) {
	t.Helper()
	all = map[string]client{
		"grpcurl":              grpcurl(address),
		"buf-curl-grpc":        bufCurl(address, "grpc", h2, schema, built.schema),
		"buf-curl-grpc-web":    bufCurl(address, "grpcweb", h2, schema, built.schema),
		"buf-curl-connect":     bufCurl(address, "connect", h2, schema, built.schema),
		"connect-go-grpc":      newConnectGo(t, address, true, connect.WithGRPC()),
		"connect-go-grpc-web":  newConnectGo(t, address, true, connect.WithGRPCWeb()),
		"connect-go-connect":   newConnectGo(t, address, true),
		"connect-go-json-gzip": newConnectGo(t, address, true, connect.WithProtoJSON(), connect.WithSendGzip()),
		"grpc-go":              newGRPCGo(t, address),
	}
	http1 = map[string]client{
		"http1-buf-curl-connect":    bufCurl(address, "connect", schema, built.schema),
		"http1-connect-go-grpc-web": newConnectGo(t, address, false, connect.WithGRPCWeb()),
		"http1-connect-go-connect":  newConnectGo(t, address, false),
	}
	return all, http1
}

// TestEveryCallByEveryClient: each client makes every call of the three services, and reads every shape of error.
func TestEveryCallByEveryClient(t *testing.T) {
	t.Parallel()
	all, http1 := clientsOf(t, serve(t))
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tell(t, name, c, nil)
		})
	}
	for name, c := range http1 {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tell(t, name, c, all["grpc-go"])
		})
	}
}

// TestEveryClientReadsOverload: on a server with little room each client reads that there is none, and when to come back.
func TestEveryClientReadsOverload(t *testing.T) {
	t.Parallel()
	// As small as engram may be: many small texts are fewer bytes on the wire than they are charged, with their vectors.
	address := serve(t, "ENGRAM_BUDGET_BYTES=256KiB", "ENGRAM_LIMITS_MESSAGE_BYTES=64KiB", "ENGRAM_LIMITS_STREAMS=1")
	all, http1 := clientsOf(t, address)
	maps.Copy(all, http1)
	full := observe(1024, "tea")
	large := observe(1, strings.Repeat("x", 100<<10))
	holder := newGRPCFlow(t.Context(), t, address)
	holder.send(`{"hello":{"space":"held"}}`)
	require.NotNil(t, holder.receive().GetWelcome())
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &story{t: t, client: c, called: map[string]bool{}}
			said := s.refused(codes.ResourceExhausted, "QUEUE_FULL", "", "MemoryService.Observe", full)
			require.Contains(t, said.Message(), "never fits the budget")
			_, _, retry := details(said)
			require.Positive(t, retry.GetRetryDelay().AsDuration())
			said = s.refused(codes.ResourceExhausted, "MESSAGE_TOO_LARGE", "", "MemoryService.Observe", large)
			require.Contains(t, said.Message(), "limits.message_bytes of 65536")
			if _, no := http1[name]; no {
				return
			}
			said = s.refused(codes.ResourceExhausted, "TOO_MANY_STREAMS", "", "FlowService.MemoryFlow", `{"hello":{"space":"held"}}`)
			_, _, retry = details(said)
			require.Positive(t, retry.GetRetryDelay().AsDuration())
		})
	}
}

// observe is a request of n texts.
func observe(n int, content string) string {
	one := fmt.Sprintf(`{"content":%q}`, content)
	return `{"space":"full","observations":[` + strings.Repeat(one+",", n-1) + one + `]}`
}
