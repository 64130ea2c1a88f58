package clients

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// grpcGo is google.golang.org/grpc without generated code: methods are called by their names.
type grpcGo struct{ conn *grpc.ClientConn }

func newGRPCGo(t *testing.T, address string) client {
	t.Helper()
	return grpcGo{dial(t, address)}
}

// call implements client.
func (g grpcGo) call(ctx context.Context, c call, enough func(proto.Message) bool) ([]proto.Message, *status.Status) {
	if !c.method.IsStreamingServer() {
		response := newMessage(c.method.Output())
		if err := g.conn.Invoke(ctx, "/"+c.procedure(), c.send[0], response); err != nil {
			return nil, status.Convert(err)
		}
		return []proto.Message{response}, nil
	}
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	stream, err := g.conn.NewStream(ctx, &grpc.StreamDesc{
		ServerStreams: true, ClientStreams: c.method.IsStreamingClient(),
	}, "/"+c.procedure())
	if err != nil {
		return nil, status.Convert(err)
	}
	for _, message := range c.send {
		if stream.SendMsg(message) != nil {
			break // the server has ended the stream: reading says why
		}
	}
	_ = stream.CloseSend()
	var got []proto.Message
	for {
		message := newMessage(c.method.Output())
		err := stream.RecvMsg(message)
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, status.Convert(err)
		}
		got = append(got, message)
		if enough != nil && enough(message) {
			return got, nil
		}
	}
}
