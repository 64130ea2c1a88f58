// Package transports is the transport-neutral half of every way into engram: the stream loop of MemoryFlow, the unary
// calls as one-shot sessions, and the translation between the wire's messages and the domain's words.
//
// It promises: a stream's reader never waits for the pipeline; one goroutine writes to a stream, control frames
// always first; every received item gets exactly one verdict, counted in the Hub; a stream that ends leaves its
// session resumable; a panic ends its stream, not the server. Queues, waits and retries have named limits (limits.go).
//
// A transport implements Conn and calls Server.Flow for each stream and Server's unary methods for each call. The
// Hub knows what is attached and is shared by all transports of a process. Each transport runs the scenarios of package
// transporttest, in tests/conformance.
package transports
