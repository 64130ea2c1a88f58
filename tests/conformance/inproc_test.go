package conformance

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/transports/inproc"
	"github.com/engram-stream/engram/transports/transporttest"
)

func TestInproc(t *testing.T) { transporttest.Run(t, local{}) }

// local is the transport inproc.
type local struct{}

// Has implements transporttest.Transport.
func (local) Has(transporttest.Ability) bool { return false }

// Start implements transporttest.Transport.
func (local) Start(t testing.TB, folder string, settings map[string]string) transporttest.Server {
	t.Helper()
	r := start(t, folder, "{ transport: inproc }", settings, inproc.Register)
	source, ok := r.server.Endpoints()[sourceName].(*inproc.Source)
	require.True(t, ok)
	return localServer{running: r, Client: source.Connect(inproc.Options{Limits: r.server.Limits()})}
}

type localServer struct {
	*running
	*inproc.Client
}

// Dial implements transporttest.Server.
func (s localServer) Dial(ctx context.Context) transporttest.Stream {
	return localStream{s.MemoryFlow(ctx)}
}

// Close implements transporttest.Server.
func (localServer) Close() {}

type localStream struct{ *inproc.Stream }

// CloseSend implements transporttest.Stream.
func (s localStream) CloseSend() error { s.Stream.CloseSend(); return nil }
