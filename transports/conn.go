package transports

import (
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Conn is one bidirectional stream. Recv is called by one goroutine at a time, Send by one other; CloseRead and
// Abort by any, at any time and more than once.
type Conn interface {
	// Recv returns the next frame, owned by the caller; io.EOF once the client has half-closed.
	Recv() (*engramv1.MemoryFlowRequest, error)
	// Send writes a frame out to the transport before it returns. The message must not be changed afterwards.
	Send(*engramv1.MemoryFlowResponse) error
	// CloseRead makes Recv return an error, now and later. What is being sent is not disturbed.
	CloseRead()
	// Abort breaks the stream: Recv and Send return errors, now and later.
	Abort()
}
