// Package arena gives memory outside the Go heap for arrays of millions of small records: the collector does not scan it,
// it is not counted against the heap's goal, and the kernel backs it with huge pages where it can.
//
// An array lies in a Memory, which goes back to the system when it can no longer be reached. A slice of it does not keep the
// Memory alive: hold both, and end each function that works on the slice with runtime.KeepAlive of what holds the Memory.
//
// An array that grows keeps its place as long as room was reserved for it, which costs addresses and no memory; beyond that
// it is copied to a new Memory of more room. Who has the old slice goes on with it.
//
// Where the system has no such memory, refuses it, or the race detector would not see it, arrays lie on the heap.
package arena
