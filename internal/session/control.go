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
	Accepted  uint64          // at least Committed
	Committed uint64          // never below that of an earlier Ack
	Rejected  []RejectedRange // of the numbers that this ack newly covers, ascending
	Version   memory.Version  // of the space at Committed; 0 while this attachment has not learned it
	Matched   uint64          // what the forgets that it newly covers removed; unary answers carry it, streams do not
}

// Nack says that nothing from Expected on has been taken.
type Nack struct {
	Expected uint64
	Reason   NackReason
	Retry    time.Duration // how long to wait before sending again; 0: none
	Fill     float64       // how full the queue is, 0 to 1
	Message  string
}

// CreditState is the advice that comes with credit; the numbers are those of engram.v1.Credit.State.
type CreditState uint8

// The credit states, each worse than the one before.
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
	Fill          float64       // 0 to 1
	Retry         time.Duration // for CreditBufferFull
	Stage         string        // what holds things up; empty when nothing does
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
	GoAwayEnded     GoAwayReason = 4
)

// GoAway tells the client to reconnect after a while. Committed is filled by the outbox.
type GoAway struct {
	Reason    GoAwayReason
	Committed uint64
	Reconnect time.Duration
}
