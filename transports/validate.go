package transports

import (
	"errors"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/internal/fault"
)

// Validate runs the schema's rules on a unary request or a control frame. The error names the first field at fault,
// and all of them in its message.
func Validate(m proto.Message) error {
	err := protovalidate.Validate(m)
	if err == nil {
		return nil
	}
	violations, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return fault.Wrap(fault.Internal, err, "the rules of %s cannot be run", m.ProtoReflect().Descriptor().FullName())
	}
	return violationsFault(violations.Violations)
}

func violationsFault(violations []*protovalidate.Violation) error {
	said := []string{violations[0].Proto.GetMessage()} // under its field, which the error names by itself
	for _, v := range violations[1:min(len(violations), maxViolations)] {
		said = append(said, protovalidate.FieldPathString(v.Proto.GetField())+": "+v.Proto.GetMessage())
	}
	if len(violations) > maxViolations {
		said = append(said, "and more")
	}
	return fault.New(fault.InvalidArgument, "%s", strings.Join(said, "; ")).
		WithField(protovalidate.FieldPathString(violations[0].Proto.GetField())).WithReason("INVALID_FIELD")
}

// TooLarge refuses a message of size bytes or more, in words that name the setting.
func TooLarge(size, limit int64) *fault.Error {
	return fault.New(fault.ResourceExhausted, "the message has %d bytes or more, over limits.message_bytes of %d", size, limit).
		WithReason("MESSAGE_TOO_LARGE").WithHint("send less in a message, or let the server's operator raise the limit")
}
