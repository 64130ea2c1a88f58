package clients

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// TestReflectionAndHealth: what operators ask a server that they know nothing of.
func TestReflectionAndHealth(t *testing.T) {
	t.Parallel()
	address := serve(t)
	listed, err := output(built.grpcurl, "-plaintext", address, "list")
	require.NoError(t, err)
	for _, method := range methods() {
		service, _, _ := strings.Cut(method, ".")
		require.Contains(t, strings.Split(listed, "\n"), "engram.v1."+service)
	}
	described, err := output(built.grpcurl, "-plaintext", address, "describe", "engram.v1.FlowService")
	require.NoError(t, err)
	require.Contains(t, described, "rpc MemoryFlow ( stream .engram.v1.MemoryFlowRequest ) returns ( stream .engram.v1.MemoryFlowResponse );")

	for _, asked := range []string{`{}`, `{"service":"engram.v1.FlowService"}`} {
		health, err := output(built.grpcurl, "-plaintext", "-d", asked, address, "grpc.health.v1.Health/Check")
		require.NoError(t, err)
		require.Contains(t, health, `"SERVING"`)
	}
	for _, version := range []string{"grpc-v1", "grpc-v1alpha"} {
		for _, protocol := range []string{"connect", "grpc", "grpcweb"} {
			_, err := output(built.buf, "curl", "--protocol", protocol, h2, "--reflect", "--reflect-protocol", version,
				"-d", "{}", "http://"+address+"/engram.v1.AdminService/ListSpaces")
			require.NoError(t, err)
		}
	}
}

// TestDeadlinesAreTheServers: the server itself ends a stream at the time that its header names, in each protocol's way,
// whether it has said Hello or not. Clients set no timer for a header that they did not write.
func TestDeadlinesAreTheServers(t *testing.T) {
	t.Parallel()
	address := serve(t)
	hello := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{Space: "deadlines"}}}
	for name, c := range map[string]struct {
		header, value string
		options       []connect.ClientOption
	}{
		"grpc":     {"Grpc-Timeout", "300m", []connect.ClientOption{connect.WithGRPC()}},
		"grpc-web": {"Grpc-Timeout", "300m", []connect.ClientOption{connect.WithGRPCWeb()}},
		"connect":  {"Connect-Timeout-Ms", "300", nil},
	} {
		for _, first := range []*engramv1.MemoryFlowRequest{nil, hello} {
			flow := engramv1connect.NewFlowServiceClient(transport(t, true), "http://"+address, c.options...)
			stream := flow.MemoryFlow(t.Context())
			stream.RequestHeader().Set(c.header, c.value)
			require.NoError(t, stream.Send(first))
			var err error
			for err == nil { // a Welcome comes first, if there is time for it
				_, err = stream.Receive()
			}
			require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err), "%s: %v", name, err)
			require.True(t, connect.IsWireError(err), "%s: %v", name, err)
			require.ErrorContains(t, err, "context deadline exceeded", name)
		}
	}
}

// TestStreamsNeedHTTP2: HTTP/1.1 cannot carry a stream both ways, and the server says so.
func TestStreamsNeedHTTP2(t *testing.T) {
	t.Parallel()
	address := serve(t)
	for _, procedure := range []string{engramv1connect.FlowServiceMemoryFlowProcedure, engramv1connect.FlowServiceObserveStreamProcedure} {
		for _, kind := range []string{"application/connect+json", "application/grpc-web+proto", "application/grpc"} {
			response, err := transport(t, false).Post("http://"+address+procedure, kind, strings.NewReader(""))
			require.NoError(t, err)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusHTTPVersionNotSupported, response.StatusCode, "%s %s", procedure, kind)
			require.Contains(t, string(text), "needs HTTP/2, and this came over HTTP/1.1", "%s %s", procedure, kind)
		}
	}
}
