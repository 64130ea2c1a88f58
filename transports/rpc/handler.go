package rpc

import (
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/transports"
)

// services are what reflection and health name.
var services = []string{
	engramv1connect.MemoryServiceName, engramv1connect.FlowServiceName, engramv1connect.AdminServiceName,
}

// Handler returns what answers every call of this source. health tells whether the server is ready; its services are
// those of Services. The handler serves once the graph has been built; calls need it started.
func (s *Source) Handler(limits transports.Limits, health grpchealth.Checker) http.Handler {
	server := transports.NewServer(s.hub, s.services, limits)
	options := []connect.HandlerOption{
		connect.WithReadMaxBytes(limits.MessageBytes),
		connect.WithInterceptors(errorInterceptor{}, validation{}),
		connect.WithRecover(recovered(s.services.Logger)),
	}
	mux := http.NewServeMux()
	mux.Handle(engramv1connect.NewMemoryServiceHandler(memoryService{server: server}, options...))
	mux.Handle(engramv1connect.NewFlowServiceHandler(flowService{server: server}, options...))
	mux.Handle(engramv1connect.NewAdminServiceHandler(adminService{server: server}, options...))
	reflector := grpcreflect.NewStaticReflector(services...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options...))
	mux.Handle(grpchealth.NewHandler(health, options...))
	return withControl(onlyProtocols(s.config.Protocols, mux))
}

// Services names the services that are served, for health checks.
func Services() []string { return services }
