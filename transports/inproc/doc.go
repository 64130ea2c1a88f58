// Package inproc serves MemoryFlow and the unary calls to the process that holds the server: for tests, and for programs
// that embed it. There are no sockets and no encoding.
//
// It promises what every transport does (package transports), and errors that are a *fault.Error. A stream holds at
// most 4 frames each way, so that a client reads while it sends; none from the client is over limits.message_bytes. Messages are handed over, not copied:
// whoever sends one changes it no more, and what the server answers is not to be changed either.
//
// A pipeline names it as a source, `local: { transport: inproc }`, once Register has told the kind. What the graph
// builds for it is a *Source, whose Connect returns the calls.
package inproc
