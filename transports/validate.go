package transports

import (
	"errors"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/internal/fault"
)

// maxSearched is the largest message that is searched for everything at fault, in bytes: each thing found takes a hundred
// times as much memory as it has on the wire.
const maxSearched = 16 << 10

// Validate runs the schema's rules on a unary request or a control frame. The error names the first field at fault; of a
// message up to maxSearched its text names the first maxViolations of them.
func Validate(m proto.Message) error {
	err := protovalidate.Validate(m, protovalidate.WithFailFast())
	if err == nil {
		return nil
	}
	if proto.Size(m) <= maxSearched {
		err = protovalidate.Validate(m)
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
