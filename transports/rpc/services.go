package rpc

import (
	"context"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/internal/telemetry"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/transports"
)

// answer adapts a neutral call to Connect's shape.
func answer[Req, Res any](ctx context.Context, r *connect.Request[Req], call func(context.Context, *Req) (*Res, error)) (*connect.Response[Res], error) {
	response, err := call(ctx, r.Msg)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(response), nil
}

type memoryService struct{ server *transports.Server }

func (m memoryService) Observe(ctx context.Context, r *connect.Request[engramv1.ObserveRequest]) (*connect.Response[engramv1.ObserveResponse], error) {
	return answer(ctx, r, m.server.Observe)
}

func (m memoryService) Recall(ctx context.Context, r *connect.Request[engramv1.RecallRequest]) (*connect.Response[engramv1.RecallResponse], error) {
	return answer(ctx, r, m.server.Recall)
}

func (m memoryService) Get(ctx context.Context, r *connect.Request[engramv1.GetRequest]) (*connect.Response[engramv1.GetResponse], error) {
	return answer(ctx, r, m.server.Get)
}

func (m memoryService) Forget(ctx context.Context, r *connect.Request[engramv1.ForgetRequest]) (*connect.Response[engramv1.ForgetResponse], error) {
	return answer(ctx, r, m.server.Forget)
}

func (m memoryService) ListMemories(ctx context.Context, r *connect.Request[engramv1.ListMemoriesRequest]) (*connect.Response[engramv1.ListMemoriesResponse], error) {
	return answer(ctx, r, m.server.ListMemories)
}

type flowService struct{ server *transports.Server }

func (f flowService) MemoryFlow(ctx context.Context, stream *connect.BidiStream[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]) error {
	c := &conn{stream: stream, control: control{response: controlOf(ctx)}}
	defer c.release()
	return f.server.Flow(telemetry.Stream(ctx, stream.RequestHeader()), c)
}

func (f flowService) ObserveStream(ctx context.Context, stream *connect.BidiStream[engramv1.ObserveStreamRequest, engramv1.ObserveStreamResponse]) error {
	c := &observeConn{stream: stream, control: control{response: controlOf(ctx)}}
	defer c.release()
	return f.server.Flow(telemetry.Stream(ctx, stream.RequestHeader()), c)
}

func (f flowService) RecallStream(ctx context.Context, r *connect.Request[engramv1.RecallStreamRequest], stream *connect.ServerStream[engramv1.RecallStreamResponse]) error {
	return f.server.RecallStream(ctx, r.Msg, stream.Send)
}

func (f flowService) Watch(ctx context.Context, r *connect.Request[engramv1.WatchRequest], stream *connect.ServerStream[engramv1.WatchResponse]) error {
	return f.server.Watch(ctx, r.Msg, stream.Send)
}

type adminService struct{ server *transports.Server }

func (a adminService) CreateSpace(ctx context.Context, r *connect.Request[engramv1.CreateSpaceRequest]) (*connect.Response[engramv1.CreateSpaceResponse], error) {
	return answer(ctx, r, a.server.CreateSpace)
}

func (a adminService) ListSpaces(ctx context.Context, r *connect.Request[engramv1.ListSpacesRequest]) (*connect.Response[engramv1.ListSpacesResponse], error) {
	return answer(ctx, r, a.server.ListSpaces)
}

func (a adminService) GetStats(ctx context.Context, r *connect.Request[engramv1.GetStatsRequest]) (*connect.Response[engramv1.GetStatsResponse], error) {
	return answer(ctx, r, a.server.GetStats)
}

func (a adminService) DeleteSpace(ctx context.Context, r *connect.Request[engramv1.DeleteSpaceRequest]) (*connect.Response[engramv1.DeleteSpaceResponse], error) {
	return answer(ctx, r, a.server.DeleteSpace)
}

func (a adminService) GetSession(ctx context.Context, r *connect.Request[engramv1.GetSessionRequest]) (*connect.Response[engramv1.GetSessionResponse], error) {
	return answer(ctx, r, a.server.GetSession)
}

func (a adminService) ListSessions(ctx context.Context, r *connect.Request[engramv1.ListSessionsRequest]) (*connect.Response[engramv1.ListSessionsResponse], error) {
	return answer(ctx, r, a.server.ListSessions)
}

func (a adminService) EndSession(ctx context.Context, r *connect.Request[engramv1.EndSessionRequest]) (*connect.Response[engramv1.EndSessionResponse], error) {
	return answer(ctx, r, a.server.EndSession)
}
