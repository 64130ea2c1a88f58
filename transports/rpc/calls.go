package rpc

import (
	"net/http"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/transports"
)

// callLimit bounds the unary calls at work. It stands before the handlers, since they read a call's message first.
type callLimit struct {
	server *transports.Server
	errors *connect.ErrorWriter
}

// limit wraps a service of unary calls.
func (c callLimit) limit(path string, next http.Handler) (string, http.Handler) {
	return path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.server.EnterCall(); err != nil {
			_ = c.errors.Write(w, r, toWire(err)) // fails when the client has gone
			return
		}
		defer c.server.ExitCall()
		next.ServeHTTP(w, r)
	})
}
