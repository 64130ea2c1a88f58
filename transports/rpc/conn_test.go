package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

type bidi = connect.BidiStream[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]

// open serves one stream with a handler of the test's and returns the client's end.
func open(t *testing.T, handle func(context.Context, *conn) error) *connect.BidiStreamForClient[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse] {
	t.Helper()
	server := httptest.NewUnstartedServer(withControl(connect.NewBidiStreamHandler("/test/Flow", func(ctx context.Context, s *bidi) error {
		c := &conn{stream: s, control: control{response: controlOf(ctx)}}
		defer c.release()
		return handle(ctx, c)
	})))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	client := connect.NewClient[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse](&http.Client{Transport: transport}, server.URL+"/test/Flow")
	stream := client.CallBidiStream(ctx)
	if err := stream.Send(&engramv1.MemoryFlowRequest{}); !errors.Is(err, io.EOF) { // of a handler that has answered already
		require.NoError(t, err)
	}
	return stream
}

func pong(nonce uint64) *engramv1.MemoryFlowResponse {
	return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Pong{Pong: &engramv1.Pong{Nonce: nonce}}}
}

func TestCloseReadEndsAReadThatWaitsAndNothingElse(t *testing.T) {
	stream := open(t, func(_ context.Context, c *conn) error {
		if _, err := c.Recv(); err != nil {
			return err
		}
		time.AfterFunc(10*time.Millisecond, c.CloseRead)
		if _, err := c.Recv(); err == nil {
			return errors.New("the read went on")
		}
		if err := c.Send(pong(1)); err != nil {
			return err
		}
		return toWire(errShut)
	})
	m, err := stream.Receive()
	require.NoError(t, err)
	assert.Equal(t, uint64(1), m.GetPong().GetNonce(), "what is written after it arrives")
	_, err = stream.Receive()
	assert.Equal(t, connect.CodeUnavailable, connect.CodeOf(err), "and so does the status")
}

var errShut = connect.NewError(connect.CodeUnavailable, errors.New("going away"))

func TestAbortBreaksASendThatWaits(t *testing.T) {
	broken := make(chan error, 1)
	open(t, func(_ context.Context, c *conn) error {
		if _, err := c.Recv(); err != nil {
			return err
		}
		time.AfterFunc(50*time.Millisecond, c.Abort)
		big := &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Nack{Nack: &engramv1.Nack{Message: strings.Repeat("x", 1<<20)}}}
		for {
			if err := c.Send(big); err != nil { // the client reads nothing, so its window is soon full
				broken <- err
				return err
			}
		}
	})
	select {
	case err := <-broken:
		require.Error(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the send still waits")
	}
}

// A timer or a cancelled context may still fire when the handler has returned; net/http would panic then.
func TestAReleasedConnIgnoresWhatComesLate(t *testing.T) {
	conns := make(chan *conn, 1)
	stream := open(t, func(_ context.Context, c *conn) error {
		conns <- c
		return toWire(errShut)
	})
	_, err := stream.Receive()
	require.Error(t, err)
	c := <-conns
	require.NoError(t, stream.CloseRequest())
	require.NoError(t, stream.CloseResponse())
	require.NotPanics(t, func() {
		c.CloseRead()
		c.Abort()
	})
}
