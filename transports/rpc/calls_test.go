package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const brief = 50 * time.Millisecond

// limited serves a handler behind a call limit with brief times, and counts the places taken.
func limited(t *testing.T, places int64, handler http.HandlerFunc, lasting ...bool) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	taken := &atomic.Int64{}
	c := callLimit{lasting: len(lasting) > 0, errors: connect.NewErrorWriter(), drain: 16 << 20, read: brief, write: brief, enter: func(ctx context.Context) (context.Context, func(), error) {
		if taken.Add(1) > places {
			taken.Add(-1)
			return nil, nil, errors.New("no place")
		}
		return ctx, func() { taken.Add(-1) }, nil
	}}
	_, h := c.limit("/", handler)
	server := httptest.NewUnstartedServer(withControl(h))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server, taken
}

// A client that sends the beginning of a message and no more, over either version of HTTP, does not keep its place.
func TestAMessageThatDoesNotComeInGivesItsPlaceUp(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		assert.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err))
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	}
	h2 := &http.Transport{Protocols: &http.Protocols{}}
	h2.Protocols.SetUnencryptedHTTP2(true)
	for version, transport := range map[string]*http.Transport{"1.1": {}, "2": h2} {
		t.Run(version, func(t *testing.T) {
			server, taken := limited(t, 1, read)
			t.Cleanup(transport.CloseIdleConnections)
			body, more := io.Pipe()
			defer more.Close()
			go func() { _, _ = more.Write([]byte("x")) }()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
			require.NoError(t, err)
			response, err := (&http.Client{Transport: transport}).Do(r)
			require.NoError(t, err)
			text, _ := io.ReadAll(response.Body)
			require.NoError(t, response.Body.Close())
			assert.Contains(t, string(text), "did not come in within 50ms")
			require.Eventually(t, func() bool { return taken.Load() == 0 }, 10*time.Second, time.Millisecond)
		})
	}
}

// Nor does one that does not read its answer; and a call that takes long in between is not cut.
func TestAnAnswerThatIsNotTakenGivesItsPlaceUp(t *testing.T) {
	ended := make(chan error, 1)
	server, taken := limited(t, 1, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		<-time.After(3 * brief) // the work may take longer than either limit
		assert.NoError(t, r.Context().Err())
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for range 256 {
			if _, err := w.Write(chunk); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	})
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	require.NoError(t, err)
	require.Error(t, <-ended)
	require.Eventually(t, func() bool { return taken.Load() == 0 }, 10*time.Second, time.Millisecond)
}

// An answer that lasts may be silent for longer than a piece of it may take to be read, over either version of HTTP.
func TestALastingAnswerMayBeSilent(t *testing.T) {
	h2 := &http.Transport{Protocols: &http.Protocols{}}
	h2.Protocols.SetUnencryptedHTTP2(true)
	for version, transport := range map[string]*http.Transport{"1.1": {}, "2": h2} {
		t.Run(version, func(t *testing.T) {
			t.Cleanup(transport.CloseIdleConnections)
			server, _ := limited(t, 1, func(w http.ResponseWriter, r *http.Request) {
				for range 3 {
					_, err := io.WriteString(w, "piece")
					assert.NoError(t, err)
					assert.NoError(t, http.NewResponseController(w).Flush())
					<-time.After(3 * brief)
				}
			}, true)
			response, err := (&http.Client{Transport: transport}).Post(server.URL, "text/plain", strings.NewReader(""))
			require.NoError(t, err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, "piecepiecepiece", string(text))
		})
	}
}

// A connection is used again after a call, without the deadlines of the one before.
func TestDeadlinesEndWithTheirCall(t *testing.T) {
	server, _ := limited(t, 1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	connections := &atomic.Int64{}
	transport := &http.Transport{}
	dialer := &net.Dialer{}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections.Add(1)
		return dialer.DialContext(ctx, network, address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	for range 3 {
		response, err := (&http.Client{Transport: transport}).Post(server.URL, "text/plain", strings.NewReader("hello"))
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "hello", string(text))
		<-time.After(3 * brief)
	}
	require.EqualValues(t, 1, connections.Load())
}

// A refused HTTP/1.1 call is read to its end, so that a client which writes all of it first gets its answer.
func TestARefusedCallIsRead(t *testing.T) {
	server, _ := limited(t, 0, nil)
	for range 5 {
		response, err := http.Post(server.URL, "application/json", bytes.NewReader(make([]byte, 8<<20)))
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Contains(t, string(text), `"code":`)
	}
	http.DefaultClient.CloseIdleConnections()
}
