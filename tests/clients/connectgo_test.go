package clients

import (
	"context"
	"errors"
	"io"
	"testing"

	"connectrpc.com/connect"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// connectGo is what connect-go generates from the protocol, a method each.
type connectGo map[string]func(ctx context.Context, send []proto.Message, enough func(proto.Message) bool) ([]proto.Message, error)

func newConnectGo(t *testing.T, address string, http2 bool, options ...connect.ClientOption) client {
	t.Helper()
	over, url := transport(t, http2), "http://"+address
	memory := engramv1connect.NewMemoryServiceClient(over, url, options...)
	flow := engramv1connect.NewFlowServiceClient(over, url, options...)
	admin := engramv1connect.NewAdminServiceClient(over, url, options...)
	return connectGo{
		engramv1connect.MemoryServiceObserveProcedure:      unary(memory.Observe),
		engramv1connect.MemoryServiceRecallProcedure:       unary(memory.Recall),
		engramv1connect.MemoryServiceGetProcedure:          unary(memory.Get),
		engramv1connect.MemoryServiceListMemoriesProcedure: unary(memory.ListMemories),
		engramv1connect.MemoryServiceForgetProcedure:       unary(memory.Forget),
		engramv1connect.FlowServiceObserveStreamProcedure:  bidi(flow.ObserveStream),
		engramv1connect.FlowServiceMemoryFlowProcedure:     bidi(flow.MemoryFlow),
		engramv1connect.FlowServiceRecallStreamProcedure:   serverStream(flow.RecallStream),
		engramv1connect.FlowServiceWatchProcedure:          serverStream(flow.Watch),
		engramv1connect.AdminServiceCreateSpaceProcedure:   unary(admin.CreateSpace),
		engramv1connect.AdminServiceListSpacesProcedure:    unary(admin.ListSpaces),
		engramv1connect.AdminServiceDeleteSpaceProcedure:   unary(admin.DeleteSpace),
		engramv1connect.AdminServiceGetStatsProcedure:      unary(admin.GetStats),
		engramv1connect.AdminServiceGetSessionProcedure:    unary(admin.GetSession),
		engramv1connect.AdminServiceListSessionsProcedure:  unary(admin.ListSessions),
		engramv1connect.AdminServiceEndSessionProcedure:    unary(admin.EndSession),
	}
}

// call implements client.
func (g connectGo) call(ctx context.Context, c call, enough func(proto.Message) bool) ([]proto.Message, *status.Status) {
	method, ok := g["/"+c.procedure()]
	if !ok {
		return nil, status.New(codes.Unimplemented, "connectGo does not list "+c.procedure())
	}
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	got, err := method(ctx, c.send, enough)
	return got, connectStatus(err)
}

func connectStatus(err error) *status.Status {
	said := new(connect.Error)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &said):
		return broken(err)
	}
	answer := &spb.Status{Code: int32(said.Code()), Message: said.Message()}
	for _, d := range said.Details() {
		answer.Details = append(answer.Details, detail(d.Type(), d.Bytes()))
	}
	return status.FromProto(answer)
}

func unary[Req, Res any](method func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error)) func(context.Context, []proto.Message, func(proto.Message) bool) ([]proto.Message, error) {
	return func(ctx context.Context, send []proto.Message, _ func(proto.Message) bool) ([]proto.Message, error) {
		response, err := method(ctx, connect.NewRequest(any(send[0]).(*Req)))
		if err != nil {
			return nil, err
		}
		return []proto.Message{any(response.Msg).(proto.Message)}, nil
	}
}

func serverStream[Req, Res any](method func(context.Context, *connect.Request[Req]) (*connect.ServerStreamForClient[Res], error)) func(context.Context, []proto.Message, func(proto.Message) bool) ([]proto.Message, error) {
	return func(ctx context.Context, send []proto.Message, enough func(proto.Message) bool) (got []proto.Message, err error) {
		stream, err := method(ctx, connect.NewRequest(any(send[0]).(*Req)))
		if err != nil {
			return nil, err
		}
		defer stream.Close()
		for stream.Receive() {
			message := any(stream.Msg()).(proto.Message)
			got = append(got, message)
			if enough != nil && enough(message) {
				return got, nil
			}
		}
		return got, stream.Err()
	}
}

func bidi[Req, Res any](method func(context.Context) *connect.BidiStreamForClient[Req, Res]) func(context.Context, []proto.Message, func(proto.Message) bool) ([]proto.Message, error) {
	return func(ctx context.Context, send []proto.Message, _ func(proto.Message) bool) (got []proto.Message, err error) {
		stream := method(ctx)
		defer func() { _ = stream.CloseResponse() }() // what matters has been read by then
		for _, message := range send {
			if err := stream.Send(any(message).(*Req)); err != nil {
				break // the server has ended the stream: reading says why
			}
		}
		_ = stream.CloseRequest()
		for {
			message, err := stream.Receive()
			if errors.Is(err, io.EOF) {
				return got, nil
			}
			if err != nil {
				return got, err
			}
			got = append(got, any(message).(proto.Message))
		}
	}
}
