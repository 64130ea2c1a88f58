package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// The reasons that programs ask for; test with errors.Is. What comes back is an *Error that matches.
var (
	// ErrClosed is the failure of a call on a session that was closed or detached.
	ErrClosed = errors.New("the session is closed")
	// ErrFenced ends a session that another program has resumed. There is one writer a session, and the newer wins.
	ErrFenced = errors.New("another program has taken the session over")
	// ErrSessionExpired ends a session that the server no longer knows: its time ran out, an operator has ended it, or its
	// data is gone. Open a new one, and send again what was not committed; observations with an explicit ID replace themselves.
	ErrSessionExpired = errors.New("the session is unknown to the server, or expired")
	// ErrServerBehind ends a session whose server has less than it once acknowledged: its disk was restored from an
	// older copy. The message has both numbers; whether to go on in a new session is for you to decide.
	ErrServerBehind = errors.New("the server has lost what it had acknowledged")
	// ErrUnreachable is the failure to reach the server at all: nothing answers at its address. A server that answers,
	// and cannot do what was asked, is not unreachable, whatever its code.
	ErrUnreachable = errors.New("the server cannot be reached")
)

// reasons ties each of the errors above to the Reason of an *Error.
var reasons = map[error]string{
	ErrClosed:         "SESSION_CLOSED",
	ErrFenced:         "FENCED",
	ErrSessionExpired: "SESSION_EXPIRED",
	ErrServerBehind:   "COMMITTED_AHEAD",
	ErrUnreachable:    "UNREACHABLE",
}

// Error is the failure of a call or of a session.
type Error struct {
	Op         string        // what was being done: "recall", "open session"
	Code       connect.Code  // the kind of failure, one of the gRPC codes
	Reason     string        // a stable word for programs, such as "SESSION_EXPIRED"; may be empty
	Field      string        // the part of the request at fault, such as "embedding"; may be empty
	Message    string        // what went wrong, in words
	RetryAfter time.Duration // when to try again; 0: not said

	cause error
}

// Error renders "engram: op: field: message". The server's messages may name operation and field themselves; they are
// not said twice.
func (e *Error) Error() string {
	message := e.Message
	if message == "" {
		message = e.Code.String()
	}
	for _, p := range []string{e.Field, e.Op} {
		if !strings.Contains(message, p) {
			message = p + ": " + message
		}
	}
	return "engram: " + message
}

// because returns e with another message. It is a copy, since e may be in a program's hands already.
func (e *Error) because(message string) *Error {
	other := *e
	other.Message = message
	return &other
}

// Unwrap returns the cause, so that errors.Is(err, context.DeadlineExceeded) holds where a deadline ended the call.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether e is one of the package's errors: ErrClosed, ErrFenced, ErrSessionExpired, ErrServerBehind,
// ErrUnreachable.
func (e *Error) Is(target error) bool {
	reason, ok := reasons[target]
	return ok && e.Reason == reason
}

// Retryable reports whether the same call may succeed later, after RetryAfter if that is set.
func (e *Error) Retryable() bool {
	switch e.Code {
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeAborted:
		return !e.Is(ErrFenced) && e.Reason != reasonTooLarge && e.Reason != reasonAnswerTooLarge
	default:
		return false
	}
}

// RejectedError says that the server refused observations for good: as they are, they can never be stored. A wrong
// dimension, a NaN, a zero vector under cosine are refused so. Everything else in the same batch is stored.
type RejectedError struct {
	// First and Last tell which: sequence numbers in a session, indexes from 0 in Client.Observe.
	First, Last uint64
	Code        connect.Code
	Reason      string // why, in words
	Field       string // the field at fault, such as "embedding"; may be empty
	// More counts further refusals that Client.Observe or Session.Flush met besides this one.
	More int
}

// Error says which observations, why, and how many more.
func (e *RejectedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "engram: observation %d", e.First)
	if e.Last > e.First {
		fmt.Fprintf(&b, " to %d", e.Last)
	}
	b.WriteString(" rejected: ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	if e.Reason != "" {
		b.WriteString(e.Reason)
	} else {
		b.WriteString(e.Code.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, " (and %d more rejected)", e.More)
	}
	return b.String()
}

func rejectedFrom(r *engramv1.Rejection) RejectedError {
	e := RejectedError{
		First: r.GetRange().GetFirst(), Last: r.GetRange().GetLast(),
		Code: connect.Code(r.GetCode()), Reason: r.GetReason(), Field: r.GetField(),
	}
	if e.Field == "embedding_f32" { // how this package sends what its user calls the embedding
		e.Field = "embedding"
	}
	return e
}

// failure turns the error of an RPC into an *Error. A nil err gives nil.
func (c *Client) failure(op string, err error) error {
	if err == nil {
		return nil
	}
	return c.describe(op, err)
}

func (c *Client) describe(op string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Op != "" {
			return e
		}
		named := *e
		named.Op = op
		return &named
	}
	e := &Error{Op: op, Code: connect.CodeOf(err), Message: err.Error(), cause: err}
	if ce, ok := errors.AsType[*connect.Error](err); ok {
		e.Message = ce.Message()
		e.readDetails(ce)
	}
	e.readTransport(c.address, err)
	return e
}

// readTransport takes over what this side knows of why there is no answer, or none that is engram's. Some of it net/http
// has no types for.
func (e *Error) readTransport(address string, err error) {
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch dial, ok := errors.AsType[*net.OpError](err); {
	case ok && dial.Op == "dial":
		e.Code, e.Reason = connect.CodeUnavailable, reasons[ErrUnreachable]
		e.Message = fmt.Sprintf("cannot reach %s: %v (is the server running? start one with: engram serve)", address, dial.Err)
	case says("http2: client connection lost"): // its pings had no answer
		e.Code, e.Reason = connect.CodeUnavailable, reasons[ErrUnreachable]
		e.Message = address + " does not answer"
	case says("http2: frame too large"): // the begin of an answer in text, read as a frame's length
		e.Code = connect.CodeInvalidArgument
		e.Message = fmt.Sprintf("what answers at %s speaks no HTTP/2: is it engram? (check the address)", address)
	case says("http2: client conn could not be established"): // of what speaks something else too, if it hangs up
		e.Code = connect.CodeUnavailable
		e.Message = address + " ended the connection before it spoke HTTP/2: is it engram? (check the address)"
	case says("server gave HTTP response to HTTPS client"):
		e.Code = connect.CodeInvalidArgument // for ever, unless called otherwise
		e.Message = fmt.Sprintf("what answers at %s speaks no TLS (write http://%s)", address, address)
	case errors.Is(err, context.DeadlineExceeded): // this side's own; a server's has no cause
		e.Code = connect.CodeDeadlineExceeded
		e.Message = fmt.Sprintf("no answer from %s in time", address)
	case errors.Is(err, context.Canceled):
		e.Code = connect.CodeCanceled
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Code = connect.CodeUnavailable
		e.Message = address + " ended the stream"
	}
}

// readDetails takes over what the server attached in google.rpc details.
func (e *Error) readDetails(ce *connect.Error) {
	for _, d := range ce.Details() {
		value, err := d.Value()
		if err != nil {
			continue // a detail of a kind this version does not know
		}
		switch v := value.(type) {
		case *errdetails.ErrorInfo:
			e.Reason = v.GetReason()
		case *errdetails.RetryInfo:
			e.RetryAfter = v.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			if len(v.GetFieldViolations()) > 0 {
				e.Field = v.GetFieldViolations()[0].GetField()
			}
		}
	}
}

// atIndex adds to an argument error which of several observations it is about.
func atIndex(err error, i int) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Field = fmt.Sprintf("observations[%d].%s", i, e.Field)
	}
	return err
}

// What marks a message, or an answer, over the server's limits: the same call has no better chance later.
const (
	reasonTooLarge       = "MESSAGE_TOO_LARGE"
	reasonAnswerTooLarge = "ANSWER_TOO_LARGE"
)

// reasonNoSpace marks that there is no space of the name that was asked for.
const reasonNoSpace = "SPACE_NOT_FOUND"

// reasonProtocol marks a server that broke the protocol; going on could lose or double observations.
const reasonProtocol = "PROTOCOL_VIOLATION"

func protocolError(format string, args ...any) *Error {
	return &Error{Op: "session", Code: connect.CodeInternal, Reason: reasonProtocol, Message: fmt.Sprintf(format, args...)}
}

func serverBehind(acknowledged, has uint64) *Error {
	return &Error{Op: "resume session", Code: connect.CodeFailedPrecondition, Reason: reasons[ErrServerBehind], Message: fmt.Sprintf(
		"the server had acknowledged everything up to number %d and now has only %d: was its disk restored from an older copy?",
		acknowledged, has)}
}

func fenced() *Error {
	return &Error{Op: "session", Code: connect.CodeAborted, Reason: reasons[ErrFenced], Message: ErrFenced.Error()}
}
