package rpc

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/engram-stream/engram/internal/fault"
)

const (
	// errorDomain is the domain of every google.rpc.ErrorInfo.
	errorDomain = "engram.v1"
	// maxMessageBytes bounds an error's message, so that it and its details stay under the 4 KiB which some clients
	// take at most.
	maxMessageBytes = 2 << 10
	maxFieldBytes   = 256
)

// toWire is the one place where an error becomes a status: the kind gives the code, the hint is part of the message,
// and the details are ErrorInfo (reason), BadRequest (field) and RetryInfo (when to try again).
func toWire(err error) *connect.Error {
	if wire, ok := errors.AsType[*connect.Error](err); ok {
		return wire
	}
	f := fault.As(err)
	if f == nil {
		f = plain(err)
	}
	wire := connect.NewError(connect.Code(f.Kind.Code()), errors.New(cut(err.Error(), maxMessageBytes)))
	for _, detail := range details(f) {
		if d, err := connect.NewErrorDetail(detail); err == nil {
			wire.AddDetail(d)
		}
	}
	if f.RetryAfter > 0 {
		seconds := int(math.Ceil(f.RetryAfter.Seconds()))
		wire.Meta().Set("Retry-After", strconv.Itoa(seconds))
	}
	return wire
}

// plain classifies an error that is none of ours.
func plain(err error) *fault.Error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.DeadlineExceeded, "")
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, "")
	}
	return fault.New(fault.Internal, "")
}

func details(f *fault.Error) []proto.Message {
	var out []proto.Message
	if f.Reason != "" {
		out = append(out, &errdetails.ErrorInfo{Reason: f.Reason, Domain: errorDomain})
	}
	if f.Field != "" {
		out = append(out, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: cut(f.Field, maxFieldBytes), Description: cut(f.Message, maxFieldBytes)},
		}})
	}
	if f.RetryAfter > 0 {
		out = append(out, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter.Round(time.Millisecond))})
	}
	return out
}

// cut shortens text to at most n bytes, at a character's edge.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}
