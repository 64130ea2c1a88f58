package rpc

import (
	"context"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// conn is a stream of MemoryFlow as the neutral loop sees it.
type conn struct {
	control
	stream *connect.BidiStream[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]
}

// Recv implements transports.Conn.
func (c *conn) Recv() (*engramv1.MemoryFlowRequest, error) { return c.stream.Receive() }

// Send implements transports.Conn. Connect flushes after each message.
func (c *conn) Send(frame *engramv1.MemoryFlowResponse) error { return c.stream.Send(frame) }

// control ends a stream from its side: the half of transports.Conn that is not about messages.
type control struct {
	mu sync.Mutex
	// response is guarded by mu; nil once the handler has returned. A timer or a cancelled context may still call then,
	// and net/http panics on a controller whose response is over.
	response *http.ResponseController
}

// release makes CloseRead and Abort do nothing from now on. Called before the handler returns.
func (c *control) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.response = nil
}

// CloseRead implements transports.Conn: a deadline in the past ends the read that waits, of this stream only.
func (c *control) CloseRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.response != nil {
		_ = c.response.SetReadDeadline(past)
	}
}

// Abort implements transports.Conn.
func (c *control) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.response != nil {
		_ = c.response.SetReadDeadline(past)
		_ = c.response.SetWriteDeadline(past)
	}
}

var past = time.Unix(1, 0)

type controlKey struct{}

// withControl hands the response's controller to the stream's handler, since Connect does not.
func withControl(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), controlKey{}, control)))
	})
}

func controlOf(ctx context.Context) *http.ResponseController {
	control, _ := ctx.Value(controlKey{}).(*http.ResponseController)
	return control
}
