package client

import (
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
)

const (
	reconnectBase = 50 * time.Millisecond
	reconnectMax  = 5 * time.Second
)

// backoff spaces attempts to reconnect: exponentially, with jitter, so that the clients of a restarted server do not
// return all at once.
type backoff struct{ attempts int }

// next returns how long to wait before the next attempt: half of the step, and up to as much again by chance.
func (b *backoff) next() time.Duration {
	step := min(reconnectBase<<min(b.attempts, 16), reconnectMax)
	b.attempts++
	return step/2 + rand.N(step/2) //nolint:gosec // spreads load, protects nothing
}

func (b *backoff) reset() { b.attempts = 0 }

// final reports whether asking again cannot help: the server understood, and said no.
func final(e *Error) bool {
	switch e.Code {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeAlreadyExists, connect.CodePermissionDenied,
		connect.CodeUnauthenticated, connect.CodeFailedPrecondition, connect.CodeUnimplemented, connect.CodeOutOfRange,
		connect.CodeDataLoss:
		return true
	default:
		return e.Is(ErrFenced) || e.Reason == reasonProtocol || e.Reason == reasonTooLarge
	}
}
