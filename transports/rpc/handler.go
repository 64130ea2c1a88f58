package rpc

import (
	"context"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	"github.com/engram-stream/engram/internal/telemetry"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/transports"
)

// services are what reflection and health name.
var services = []string{
	engramv1connect.MemoryServiceName, engramv1connect.FlowServiceName, engramv1connect.AdminServiceName,
}

// Options are what the application gives a source besides its settings.
type Options struct {
	Limits transports.Limits
	Health grpchealth.Checker // answers for Services
	Ready  func() error       // asked before each call; its error is the answer

	Edge    connect.Interceptor // measures calls and streams; nil: they are not measured
	Recalls *telemetry.Recalls  // nil: they are not measured
}

// Handler returns what answers every call of this source. Calls that Ready lets through need the graph started.
func (s *Source) Handler(o Options) http.Handler {
	server := transports.NewServer(s.hub, s.services, o.Limits, o.Recalls)
	shared := []connect.HandlerOption{
		connect.WithReadMaxBytes(o.Limits.MessageBytes), gzipUpTo(o.Limits.MessageBytes),
		connect.WithInterceptors(interceptors(o.Edge)...),
		connect.WithRecover(recovered(s.services.Logger)), connect.WithCodec(protobuf{limit: o.Limits.MessageBytes}),
	}
	for _, name := range jsonNames {
		shared = append(shared, connect.WithCodec(strictJSON{name: name, limit: o.Limits.MessageBytes}))
	}
	gated := append(slices.Clip(shared), connect.WithRequestGate(
		func(context.Context, connect.Spec, connect.Peer, http.Header) (context.Context, error) {
			if err := o.Ready(); err != nil {
				return nil, toWire(err)
			}
			return nil, nil //nolint:nilnil // no context of its own: the call goes on with the one it has
		}))
	mux := http.NewServeMux()
	calls, admin := newCallLimit(server.EnterCall, o.Limits), newCallLimit(server.EnterAdmin, o.Limits)
	watches := newCallLimit(server.EnterWatch, o.Limits)
	watches.lasting = true
	mux.Handle(calls.limit(engramv1connect.NewMemoryServiceHandler(memoryService{server: server}, gated...)))
	path, flow := engramv1connect.NewFlowServiceHandler(flowService{server: server}, gated...)
	mux.Handle(path, flow)
	mux.Handle(engramv1connect.FlowServiceMemoryFlowProcedure, overHTTP2(flow))
	mux.Handle(engramv1connect.FlowServiceObserveStreamProcedure, overHTTP2(flow))
	mux.Handle(calls.limit(engramv1connect.FlowServiceRecallStreamProcedure, flow)) // a call that is answered in pieces
	mux.Handle(watches.limit(engramv1connect.FlowServiceWatchProcedure, flow))
	mux.Handle(admin.limit(engramv1connect.NewAdminServiceHandler(adminService{server: server}, gated...)))
	reflector := grpcreflect.NewStaticReflector(services...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, shared...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, shared...))
	mux.Handle(grpchealth.NewHandler(o.Health, shared...))
	return withControl(onlyPaths(mux, onlyProtocols(s.config.Protocols, limitMessages(o.Limits.MessageBytes, mux))))
}

// interceptors are in the order in which a call meets them.
func interceptors(edge connect.Interceptor) []connect.Interceptor {
	all := []connect.Interceptor{traced{}}
	if edge != nil {
		all = append(all, edge)
	}
	return append(all, errorInterceptor{}, validation{})
}

// Services names the services that are served, for health checks.
func Services() []string { return services }
