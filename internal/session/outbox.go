package session

import (
	"time"

	"github.com/engram-stream/engram/internal/memory"
)

// Control is one control frame on its way to the client; exactly one field is set.
type Control struct {
	Ack    *Ack
	Nack   *Nack
	Credit *Credit
	Pong   *Pong
	GoAway *GoAway
}

// Ack says how far the session has come; cumulative.
type Ack struct {
	Accepted  uint64
	Committed uint64
	Rejected  []RejectedRange // of the numbers that this ack newly covers
	Version   memory.Version
}

// Nack says that nothing from Expected on has been taken.
type Nack struct {
	Expected uint64
	Reason   NackReason
	Retry    time.Duration
	Fill     float64
	Message  string
}

// CreditState is the advice that comes with credit; the numbers are those of engram.v1.Credit.State.
type CreditState uint8

// The credit states.
const (
	CreditOK         CreditState = 1
	CreditSlowDown   CreditState = 2
	CreditBufferFull CreditState = 3
)

// Credit says how far the client may send: absolute and monotone within an epoch.
type Credit struct {
	SequenceLimit uint64 // the highest number it may send
	ByteLimit     uint64 // payload bytes since the epoch began
	State         CreditState
	Fill          float64
	Retry         time.Duration
	Stage         string // what holds things up
}

// Pong answers a ping, or is the server's heartbeat (Nonce 0).
type Pong struct{ Nonce uint64 }

// GoAwayReason says why the server ends a stream; the numbers are those of engram.v1.GoAway.Reason.
type GoAwayReason uint8

// The reasons of a GoAway.
const (
	GoAwayShutdown  GoAwayReason = 1
	GoAwayFenced    GoAwayReason = 2
	GoAwayRebalance GoAwayReason = 3
)

// GoAway tells the client to reconnect after a while. Committed is filled by the outbox.
type GoAway struct {
	Reason    GoAwayReason
	Committed uint64
	Reconnect time.Duration
}

// Outbox collects the control frames of one attachment for its writer.
type Outbox struct{}
