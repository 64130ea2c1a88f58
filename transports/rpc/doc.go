// Package rpc serves engram's three services over Connect, gRPC and gRPC-Web on one handler, for HTTP/1.1 and HTTP/2
// with or without TLS, together with gRPC reflection and health.
//
// It is a thin shell: messages and streams go to package transports, errors come back through one table (errors.go).
// A pipeline names it as a source, `rpc: { transport: rpc, protocols: [connect, grpc, grpc-web] }`; what the graph
// builds for it is a *Source, whose Handler the application puts on its listener.
package rpc
