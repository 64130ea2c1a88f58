package inproc

import (
	"context"
	"io"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/transports"
)

// frames is how many wait in a stream each way. What they weigh is bounded too: from the client by the size of a
// message, from the server by the size of a chunk.
const frames = 4

// Stream is the client's end of a MemoryFlow. Send and CloseSend are called by one goroutine at a time, Receive by one
// other, Close by any.
type Stream struct {
	conn   *conn
	cancel context.CancelFunc
	closed sync.Once     // CloseSend
	ended  chan struct{} // closed when the server has done with the stream
	err    error         // what it ended with: read after ended
	told   error         // what Receive has ended with
}

// MemoryFlow opens a stream, which lives until the server ends it, ctx does, or Close is called. One of the three must
// come, as nothing else frees it.
func (c *Client) MemoryFlow(ctx context.Context) *Stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{cancel: cancel, ended: make(chan struct{}), conn: newConn(ctx, c.limit)}
	go func() {
		defer close(s.ended)
		s.err = c.serve(ctx, s.conn)
		close(s.conn.down)
	}()
	return s
}

func (c *Client) serve(ctx context.Context, conn *conn) error {
	if err := c.ready(); err != nil {
		return err
	}
	return told(c.server.Flow(ctx, conn))
}

// Send hands a frame to the server, and waits while it has as many as it takes. io.EOF says that the stream has ended;
// Receive tells why.
func (s *Stream) Send(frame *engramv1.MemoryFlowRequest) error {
	select {
	case <-s.ended:
		return io.EOF
	default:
	}
	select {
	case s.conn.up <- frame:
		return nil
	case <-s.ended:
		return io.EOF
	}
}

// CloseSend says that no frame follows: the half-close.
func (s *Stream) CloseSend() { s.closed.Do(func() { close(s.conn.up) }) }

// Receive returns the next frame; io.EOF when the server has ended the stream in order, else why it did.
func (s *Stream) Receive() (*engramv1.MemoryFlowResponse, error) {
	if s.told != nil {
		return nil, s.told
	}
	if s.conn.ctx.Err() == nil {
		select {
		case frame, open := <-s.conn.down:
			if open {
				return frame, nil
			}
		case <-s.conn.ctx.Done():
		}
	}
	s.told = s.ending()
	s.cancel()
	return nil, s.told
}

// ending is what the client is told last. One that has given up is told that, whatever the server made of it.
func (s *Stream) ending() error {
	gaveUp := s.conn.ctx.Err()
	<-s.ended
	switch {
	case gaveUp != nil:
		return told(gaveUp)
	case s.err != nil:
		return s.err
	}
	return io.EOF
}

// Close breaks the stream and waits until the server has done with it. The session stays resumable.
func (s *Stream) Close() {
	s.cancel()
	<-s.ended
}

// conn is the server's end. It implements transports.Conn.
type conn struct {
	ctx   context.Context
	limit int // bytes of a frame from the client
	up    chan *engramv1.MemoryFlowRequest
	down  chan *engramv1.MemoryFlowResponse

	stopReading func() // closes unread
	unread      chan struct{}
	abort       func() // closes aborted
	aborted     chan struct{}
}

func newConn(ctx context.Context, limit int) *conn {
	c := &conn{
		ctx: ctx, limit: limit,
		up: make(chan *engramv1.MemoryFlowRequest, frames), down: make(chan *engramv1.MemoryFlowResponse, frames),
		unread: make(chan struct{}), aborted: make(chan struct{}),
	}
	c.stopReading = sync.OnceFunc(func() { close(c.unread) })
	c.abort = sync.OnceFunc(func() { close(c.aborted) })
	return c
}

// Recv implements transports.Conn. The checks of a message are done where a socket would do them.
func (c *conn) Recv() (*engramv1.MemoryFlowRequest, error) {
	select { // first, since the other select chooses by chance
	case <-c.unread:
		return nil, errNotRead()
	default:
	}
	select {
	case frame, open := <-c.up:
		if !open {
			return nil, io.EOF
		}
		if size := proto.Size(frame); size > c.limit {
			return nil, transports.TooLarge(int64(size), int64(c.limit))
		}
		return frame, nil
	case <-c.unread:
		return nil, errNotRead()
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	}
}

// Send implements transports.Conn.
func (c *conn) Send(frame *engramv1.MemoryFlowResponse) error {
	select {
	case <-c.aborted:
		return errAborted()
	default:
	}
	select {
	case c.down <- frame:
		return nil
	case <-c.aborted:
		return errAborted()
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// CloseRead implements transports.Conn.
func (c *conn) CloseRead() { c.stopReading() }

// Abort implements transports.Conn.
func (c *conn) Abort() {
	c.stopReading()
	c.abort()
}

func errNotRead() error { return fault.New(fault.Unavailable, "the server reads this stream no more") }

func errAborted() error { return fault.New(fault.Unavailable, "the server has broken the stream") }
