package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/internal/fault"
)

func TestKindsBecomeCodes(t *testing.T) {
	for kind, code := range map[fault.Kind]connect.Code{
		fault.InvalidArgument: connect.CodeInvalidArgument, fault.NotFound: connect.CodeNotFound,
		fault.AlreadyExists: connect.CodeAlreadyExists, fault.FailedPrecondition: connect.CodeFailedPrecondition,
		fault.ResourceExhausted: connect.CodeResourceExhausted, fault.StorageUnavailable: connect.CodeUnavailable,
		fault.Unavailable: connect.CodeUnavailable, fault.Unimplemented: connect.CodeUnimplemented,
		fault.PermissionDenied: connect.CodePermissionDenied, fault.Aborted: connect.CodeAborted,
		fault.Corrupt: connect.CodeDataLoss, fault.Internal: connect.CodeInternal, fault.Canceled: connect.CodeCanceled,
		fault.DeadlineExceeded: connect.CodeDeadlineExceeded, fault.Unauthenticated: connect.CodeUnauthenticated,
	} {
		assert.Equal(t, code, toWire(fmt.Errorf("wrapped: %w", fault.New(kind, "x"))).Code(), kind.String())
	}
	assert.Equal(t, connect.CodeInternal, toWire(errors.New("of no kind")).Code())
	assert.Equal(t, connect.CodeDeadlineExceeded, toWire(context.DeadlineExceeded).Code())
	assert.Equal(t, connect.CodeCanceled, toWire(context.Canceled).Code())
	passed := connect.NewError(connect.CodeOutOfRange, errors.New("x"))
	assert.Same(t, passed, toWire(passed), "Connect's own errors pass")
}

func TestDetailsAndRetryAfter(t *testing.T) {
	wire := toWire(fault.New(fault.ResourceExhausted, "full").WithReason("QUEUE_FULL").WithField("observations").
		WithRetryAfter(1200 * time.Millisecond).WithHint("wait"))
	assert.Equal(t, "observations: full (wait)", wire.Message())
	assert.Equal(t, "2", wire.Meta().Get("Retry-After"), "whole seconds, never less than said")
	found := map[string]proto.Message{}
	for _, d := range wire.Details() {
		value, err := d.Value()
		require.NoError(t, err)
		found[d.Type()] = value
	}
	info, _ := found["google.rpc.ErrorInfo"].(*errdetails.ErrorInfo)
	assert.Equal(t, "QUEUE_FULL", info.GetReason())
	assert.Equal(t, errorDomain, info.GetDomain())
	bad, _ := found["google.rpc.BadRequest"].(*errdetails.BadRequest)
	assert.Equal(t, "observations", bad.GetFieldViolations()[0].GetField())
	retry, _ := found["google.rpc.RetryInfo"].(*errdetails.RetryInfo)
	assert.Equal(t, 1200*time.Millisecond, retry.GetRetryDelay().AsDuration())
}

func TestErrorsStaySmall(t *testing.T) {
	wire := toWire(fault.New(fault.InvalidArgument, "%s", strings.Repeat("é", 10_000)).WithField(strings.Repeat("f", 10_000)).WithReason("R"))
	size := len(wire.Message())
	for _, d := range wire.Details() {
		size += len(d.Bytes())
	}
	assert.Less(t, size, 4<<10)
	assert.True(t, strings.HasSuffix(wire.Message(), "..."))
}
