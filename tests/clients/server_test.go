package clients

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const startTimeout = 30 * time.Second

// serve runs `engram serve` on a free port and returns its address. Settings are variables of its environment. It is
// stopped when the test ends.
func serve(t *testing.T, settings ...string) string {
	t.Helper()
	cmd := exec.Command(built.engram, "serve", "--json", "--data", t.TempDir(), "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), settings...)
	var stderr bytes.Buffer // read once the process has ended
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said struct{ Address string }
	timer := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() })
	decodeErr := json.NewDecoder(stdout).Decode(&said)
	timer.Stop()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended already
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("the server ended with %v: %s", err, &stderr)
			return
		}
		require.NoError(t, err, "%s", &stderr)
	})
	require.NoError(t, decodeErr, "the server did not start")
	return said.Address
}

// transport returns an HTTP client of one version of HTTP, without TLS.
func transport(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dial returns a connection of grpc-go.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}
