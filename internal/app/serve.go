package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/transports"
	"github.com/engram-stream/engram/transports/rpc"
)

const (
	// readHeaderTimeout is the only timeout of the HTTP server: read and write timeouts would cover a whole stream.
	readHeaderTimeout = 10 * time.Second
	// A peer that sends nothing for sendPingAfter is pinged, and cut when it does not answer within pingTimeout.
	sendPingAfter = 30 * time.Second
	pingTimeout   = 15 * time.Second
	// spareStreams is how many more HTTP/2 streams a connection may open than limits.streams, so that one too many is
	// refused with a status that says so, and unary calls have room beside them.
	spareStreams = 256
)

// newHTTP makes the server of all endpoints.
func (s *Server) newHTTP() *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.pipeline.Limits.Streams + spareStreams,
			SendPingTimeout:      sendPingAfter,
			PingTimeout:          pingTimeout,
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// handler puts the sources' endpoints and the health pages on one mux.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.state.mount(mux)
	s.reports.mount(mux, s.pipeline.Telemetry.Metrics)
	for _, endpoint := range s.engine.Endpoints() {
		if source, ok := endpoint.(*rpc.Source); ok {
			mux.Handle("/", source.Handler(rpc.Options{
				Limits: s.Limits(), Health: s.state.health, Ready: s.state.refusal,
				Edge: s.reports.edge, Recalls: s.reports.recalls,
			}))
		}
	}
	return mux
}

// sharedPaths finds sources that would answer on the same paths of the one listener.
func sharedPaths(spec *graph.Spec) (found graph.Diagnostics) {
	first := ""
	for _, n := range spec.Nodes {
		switch {
		case n.Role != graph.RoleSource || n.Kind != rpc.Kind:
		case first == "":
			first = n.Name
		default:
			found = append(found, graph.Diagnostic{
				Pos: n.Pos, Message: fmt.Sprintf("%q would answer on the same paths as %q", n.Name, first),
				Hint: "keep one of them and let the stages take from it",
			})
		}
	}
	return found
}

// Limits are what the pipeline's settings hold every transport to.
func (s *Server) Limits() transports.Limits {
	return transports.Limits{
		MessageBytes: int(s.pipeline.Limits.MessageBytes),
		Streams:      s.pipeline.Limits.Streams,
		Calls:        s.pipeline.Limits.Calls,
		RecallLimit:  s.pipeline.Recall.MaxLimit,
		AnswerBytes:  int(s.pipeline.Recall.AnswerBytes),
	}
}

// serve answers on the listener until close, and watches the engine as long.
func (s *Server) serve(r *running) {
	server := s.newHTTP()
	ctx, cancel := context.WithCancel(context.Background())
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	r.http, r.release = server, cancel
	r.serving.Go(func() {
		if err := server.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serving ended", "error", err)
			r.fail(err)
		}
	})
	r.serving.Go(func() {
		if err := s.engine.Wait(ctx); err != nil {
			s.state.fail(err)
			r.fail(err)
		}
	})
}

// fail tells Wait why the server serves no more; the first reason stands.
func (r *running) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}
