package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/telemetry"
	"github.com/engram-stream/engram/transports"
)

// traced puts calls and streams under the trace that their header names, with or without an edge that measures them.
type traced struct{}

// WrapUnary implements connect.Interceptor.
func (traced) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		return next(telemetry.FromHeader(ctx, r.Header()), r)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (traced) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return next(telemetry.FromHeader(ctx, conn.RequestHeader()), conn)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (traced) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// errorInterceptor turns every error that leaves a handler into one for the wire.
type errorInterceptor struct{}

// WrapUnary implements connect.Interceptor.
func (errorInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, r)
		if err != nil {
			return nil, toWire(err)
		}
		return response, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (errorInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := next(ctx, conn); err != nil {
			return toWire(err)
		}
		return nil
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (errorInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// validation runs the schema's rules on unary requests. Streams check their own frames.
type validation struct{}

// WrapUnary implements connect.Interceptor.
func (validation) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if message, ok := r.Any().(proto.Message); ok {
			if err := transports.Validate(message); err != nil {
				return nil, err
			}
		}
		return next(ctx, r)
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (validation) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// WrapStreamingClient implements connect.Interceptor.
func (validation) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// recovered answers a call whose handler panicked.
func recovered(logger *slog.Logger) func(context.Context, connect.Spec, http.Header, any) error {
	return func(_ context.Context, spec connect.Spec, _ http.Header, value any) error {
		logger.Error("a call panicked", "procedure", spec.Procedure, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
		return toWire(fault.New(fault.Internal, "the server failed on this call").WithReason("PANIC").
			WithHint("the server's log has the details"))
	}
}
