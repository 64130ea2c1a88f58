package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/transports"
)

// A unary call takes its place before its message is read, so it may hold it for a bounded time only, whatever its
// client does: these are for the message to come in, and for each piece of the answer to be taken.
const (
	callReadTimeout  = 30 * time.Second
	callWriteTimeout = 30 * time.Second
	answerPiece      = 256 << 10   // bytes
	refusedDrain     = time.Second // for what an HTTP/1.1 client has to write before it reads that there is no place
)

// callLimit bounds the unary calls at work. It stands before the handlers, since they read a call's message first.
type callLimit struct {
	enter  func(context.Context) (call context.Context, exit func(), err error)
	drain  int64 // bytes of a refused call's message
	errors *connect.ErrorWriter
	read   time.Duration
	write  time.Duration

	lasting bool // the answer comes in pieces, with as long between them as there is nothing to say
}

func newCallLimit(enter func(context.Context) (context.Context, func(), error), limits transports.Limits) callLimit {
	return callLimit{
		enter: enter, drain: int64(limits.MessageBytes), errors: connect.NewErrorWriter(),
		read: callReadTimeout, write: callWriteTimeout,
	}
}

// limit wraps a service of unary calls.
func (c callLimit) limit(path string, next http.Handler) (string, http.Handler) {
	return path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := controlOf(r.Context())
		ctx, exit, err := c.enter(r.Context())
		if err != nil {
			c.refuse(w, r, control, err)
			return
		}
		defer exit()
		_ = control.SetReadDeadline(time.Now().Add(c.read))
		r.Body = &timedBody{ReadCloser: r.Body, control: control, limit: c.read}
		// A connection of HTTP/1.1 keeps its deadline for the calls that follow.
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
		next.ServeHTTP(&timedWriter{ResponseWriter: w, control: control, limit: c.write, lasting: c.lasting}, r.WithContext(ctx))
	})
}

func (c callLimit) refuse(w http.ResponseWriter, r *http.Request, control *http.ResponseController, err error) {
	if r.ProtoMajor == 1 && r.Header.Get("Expect") == "" {
		_ = control.SetReadDeadline(time.Now().Add(refusedDrain))
		_, _ = io.CopyN(io.Discard, r.Body, c.drain)
	}
	_ = c.errors.Write(w, r, toWire(err)) // fails when the client has gone
}

// timedBody is a request's body under a read deadline, which is lifted when the body has ended: net/http takes one that
// passes later for the end of the connection.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	limit   time.Duration
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, toWire(fault.New(fault.DeadlineExceeded, "the message did not come in within %v", b.limit).
			WithReason("MESSAGE_TIMEOUT").WithHint("send smaller messages, or use a stream"))
	case err != nil:
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// timedWriter gives each piece of an answer a write deadline: Connect writes all of it at once.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
	lasting bool
}

// Write implements http.ResponseWriter.
func (w *timedWriter) Write(p []byte) (written int, err error) {
	for {
		_ = w.control.SetWriteDeadline(time.Now().Add(w.limit))
		n, err := w.ResponseWriter.Write(p[written:min(written+answerPiece, len(p))])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// Flush implements http.Flusher, which Connect asks for after each piece. Over HTTP/2 a deadline that passes ends the stream
// whether something is being written or not.
func (w *timedWriter) Flush() {
	_ = w.control.Flush()
	if w.lasting {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

// Unwrap serves http.ResponseController.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
