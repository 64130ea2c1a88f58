package rpc

import (
	"fmt"

	"connectrpc.com/connect"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// observeConn is a stream of ObserveStream as the neutral loop sees it: a MemoryFlow on which nothing is recalled. The
// frames are the same messages under another roof.
type observeConn struct {
	control
	stream *connect.BidiStream[engramv1.ObserveStreamRequest, engramv1.ObserveStreamResponse]
}

// Recv implements transports.Conn. A frame of an unknown kind comes through empty, which the loop refuses.
func (c *observeConn) Recv() (*engramv1.MemoryFlowRequest, error) {
	request, err := c.stream.Receive()
	if err != nil {
		return nil, err
	}
	return flowRequest(request), nil
}

// Send implements transports.Conn.
func (c *observeConn) Send(frame *engramv1.MemoryFlowResponse) error {
	response := observeResponse(frame)
	if response.Frame == nil {
		return fmt.Errorf("rpc: a %T has no place on ObserveStream", frame.GetFrame())
	}
	return c.stream.Send(response)
}

func flowRequest(r *engramv1.ObserveStreamRequest) *engramv1.MemoryFlowRequest {
	switch f := r.GetFrame().(type) {
	case *engramv1.ObserveStreamRequest_Hello:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: f.Hello}}
	case *engramv1.ObserveStreamRequest_Observe:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: f.Observe}}
	case *engramv1.ObserveStreamRequest_Forget:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Forget{Forget: f.Forget}}
	case *engramv1.ObserveStreamRequest_Flow:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Flow{Flow: f.Flow}}
	case *engramv1.ObserveStreamRequest_Ping:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Ping{Ping: f.Ping}}
	case *engramv1.ObserveStreamRequest_Goodbye:
		return &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: f.Goodbye}}
	}
	return &engramv1.MemoryFlowRequest{}
}

func observeResponse(r *engramv1.MemoryFlowResponse) *engramv1.ObserveStreamResponse {
	switch f := r.GetFrame().(type) {
	case *engramv1.MemoryFlowResponse_Welcome:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_Welcome{Welcome: f.Welcome}}
	case *engramv1.MemoryFlowResponse_Ack:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_Ack{Ack: f.Ack}}
	case *engramv1.MemoryFlowResponse_Nack:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_Nack{Nack: f.Nack}}
	case *engramv1.MemoryFlowResponse_Credit:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_Credit{Credit: f.Credit}}
	case *engramv1.MemoryFlowResponse_Pong:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_Pong{Pong: f.Pong}}
	case *engramv1.MemoryFlowResponse_GoAway:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_GoAway{GoAway: f.GoAway}}
	case *engramv1.MemoryFlowResponse_Closed:
		return &engramv1.ObserveStreamResponse{Frame: &engramv1.ObserveStreamResponse_Closed{Closed: f.Closed}}
	}
	return &engramv1.ObserveStreamResponse{}
}
