// Package client is the Go SDK of engram, a streaming memory server for vectors.
//
// A [Client] makes single calls: [Client.Observe] stores, [Client.Recall] finds the nearest, [Client.Get] and
// [Client.Forget] work by id. A [Session], opened with [Client.Open], is for streams: it batches, buffers, obeys the
// server's flow control, and outlives disconnects and restarts of the server.
//
//	c, err := client.New("127.0.0.1:7320")
//	s, err := c.Open(ctx, "notes", client.SessionOptions{})
//	_, err = s.Observe(ctx, client.Observation{Content: "tea is ready", Embedding: vector})
//	err = s.Flush(ctx) // durable and found by every recall from here on
//	found, err := s.Recall(ctx, client.Query{Embedding: vector, IncludeContent: true})
//
// What it promises: committed means durable on the server's disk and found by recall. A session's observations are
// applied exactly once and in order, whatever happens to the connection or the server, as long as this program lives;
// with a [Ticket] kept, another program goes on where it stopped.
//
// Everything here is safe for concurrent use. Failures are *[Error]; an observation the server refuses for good is a
// *[RejectedError].
package client
