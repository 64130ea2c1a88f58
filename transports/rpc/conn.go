package rpc

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// conn is a Connect stream as the neutral loop sees it.
type conn struct {
	stream  *connect.BidiStream[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]
	control *http.ResponseController
}

// Recv implements transports.Conn.
func (c conn) Recv() (*engramv1.MemoryFlowRequest, error) { return c.stream.Receive() }

// Send implements transports.Conn. Connect flushes after each message.
func (c conn) Send(frame *engramv1.MemoryFlowResponse) error { return c.stream.Send(frame) }

// CloseRead implements transports.Conn: a deadline in the past ends the read that waits, of this stream only.
func (c conn) CloseRead() { _ = c.control.SetReadDeadline(past) }

// Abort implements transports.Conn.
func (c conn) Abort() {
	_ = c.control.SetReadDeadline(past)
	_ = c.control.SetWriteDeadline(past)
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
