// Package fault is engram's error type and the one table from a kind of failure to an RPC code.
//
// Inside the server errors are ordinary Go errors, wrapped with the operation once a boundary. Where one may
// reach a user it is an *Error: what went wrong (Message), where (Op, Subject, Field), what to do next (Hint) and,
// for overload, when (RetryAfter). Corruption is a kind of its own, so that no caller mistakes it for a retryable one.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classifies a failure by what the caller can do about it.
type Kind uint8

// The kinds, each with the google.rpc.Code it maps to.
const (
	Unknown            Kind = iota
	InvalidArgument         // the request can never succeed as it is
	NotFound                // the space, session or memory does not exist
	AlreadyExists           // it exists, with other properties
	FailedPrecondition      // valid, but not in this state
	ResourceExhausted       // overload: try again after RetryAfter
	StorageUnavailable      // the journal cannot take writes now; nothing was acked
	Unavailable             // the server is starting, draining or gone
	Unimplemented           // a named part that this version does not build yet
	PermissionDenied        // a wrong token
	Unauthenticated         // no key where one is needed
	DeadlineExceeded        // the caller's time ran out
	Canceled                // the caller gave up
	Aborted                 // fenced: a newer attachment took over
	Corrupt                 // stored bytes fail their checksum: never retried, never skipped
	Internal                // a bug of ours
)

// codes maps a Kind to its google.rpc.Code; names gives the word for logs.
var kinds = [...]struct {
	name string
	code uint32
}{
	Unknown:            {"unknown", 2},
	InvalidArgument:    {"invalid_argument", 3},
	NotFound:           {"not_found", 5},
	AlreadyExists:      {"already_exists", 6},
	FailedPrecondition: {"failed_precondition", 9},
	ResourceExhausted:  {"resource_exhausted", 8},
	StorageUnavailable: {"storage_unavailable", 14},
	Unavailable:        {"unavailable", 14},
	Unimplemented:      {"unimplemented", 12},
	PermissionDenied:   {"permission_denied", 7},
	Unauthenticated:    {"unauthenticated", 16},
	DeadlineExceeded:   {"deadline_exceeded", 4},
	Canceled:           {"canceled", 1},
	Aborted:            {"aborted", 10},
	Corrupt:            {"data_loss", 15},
	Internal:           {"internal", 13},
}

// String returns the kind's name in snake case.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Code returns the google.rpc.Code of the kind (the numbers are those of gRPC status codes).
func (k Kind) Code() uint32 {
	if int(k) < len(kinds) {
		return kinds[k].code
	}
	return kinds[Unknown].code
}

// Error is a failure as a user meets it. The zero value is not useful; build one with New or Wrap.
type Error struct {
	Kind       Kind
	Op         string        // what was being done: "observe", "open journal"
	Subject    string        // on what: `space "faces"`, a file, a session
	Field      string        // the field or setting at fault: "embedding", "observations[3].embedding_f32"
	Reason     string        // a stable word for programs: "SESSION_EXPIRED"
	Message    string        // what went wrong, in words
	Hint       string        // what to do next
	RetryAfter time.Duration // 0: not said
	Cause      error
}

// New returns an Error of a kind with a formatted message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error of a kind around a cause. The message may be empty.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// GaveUp returns the Error of a caller that waits no longer, around its context's error: DeadlineExceeded when its time
// ran out, else Canceled.
func GaveUp(cause error, format string, args ...any) *Error {
	if errors.Is(cause, context.DeadlineExceeded) {
		return Wrap(DeadlineExceeded, cause, format, args...)
	}
	return Wrap(Canceled, cause, format, args...)
}

// WithOp returns e with the operation set. The With methods change and return e; call them while building it only.
func (e *Error) WithOp(op string) *Error { e.Op = op; return e }

// WithSubject returns e with the subject set.
func (e *Error) WithSubject(subject string) *Error { e.Subject = subject; return e }

// WithField returns e with the field at fault set.
func (e *Error) WithField(field string) *Error { e.Field = field; return e }

// WithReason returns e with the stable machine word set.
func (e *Error) WithReason(reason string) *Error { e.Reason = reason; return e }

// WithHint returns e with what the user can do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithRetryAfter returns e with the time after which a retry makes sense.
func (e *Error) WithRetryAfter(d time.Duration) *Error { e.RetryAfter = d; return e }

// Error renders "op: subject: field: message: cause (hint)", leaving out what is empty.
func (e *Error) Error() string {
	parts := make([]string, 0, 5)
	for _, p := range []string{e.Op, e.Subject, e.Field, e.Message} {
		if p == "" {
			continue
		}
		// A message that begins with the field's name says it by itself.
		if n := len(parts); n > 0 && (p == parts[n-1] || strings.HasPrefix(p, parts[n-1]+" ")) {
			parts = parts[:n-1]
		}
		parts = append(parts, p)
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	if len(parts) == 0 {
		parts = append(parts, e.Kind.String())
	}
	s := strings.Join(parts, ": ")
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// As returns the first *Error in err's chain, or nil.
func As(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}

// KindOf returns the kind of the first *Error in err's chain, Unknown when there is none.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Unknown
}
