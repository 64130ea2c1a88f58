package session

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/engram-stream/engram/internal/memory"
)

func asRefusal(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }

// Attachment is one attachment of a client to a session: a stream, or one unary call. Every op carries the one it
// came through. The exported fields are set before the first op and never change. Safe for concurrent use.
type Attachment struct {
	SessionID string
	Space     string
	Epoch     uint64
	// Unary marks the one-shot session of a unary call: it has no token, the journal opens it with its first
	// append. Remember keeps its dedup state for a while, since the caller named it by a request id.
	Unary    bool
	Remember bool

	Window *Window
	Outbox *Outbox

	fenced atomic.Bool
}

// Fence marks the attachment as superseded by a newer one.
func (a *Attachment) Fence() { a.fenced.Store(true) }

// Fenced reports whether a newer attachment has taken over.
func (a *Attachment) Fenced() bool { return a.fenced.Load() }

// Nack tells the client to go back. The window may step back further while a nack is on its way (a storage failure is
// found by another goroutine than the reader's), and the client obeys the last nack it reads: so one that turns out to
// expect too much is followed by one that does not.
func (a *Attachment) Nack(n Nack) {
	a.Outbox.Nack(n)
	if expected := a.Window.Expected(); expected < n.Expected {
		n.Expected = expected
		a.Outbox.Nack(n)
	}
}

// Reply acknowledges what r says is settled. The window learns of it before the client can.
func (a *Attachment) Reply(r Reply) {
	a.Window.Settle(r.Through)
	a.Outbox.Reply(r)
}

// OpenRequest asks for a session: a new one when SessionID is empty, else a resume.
type OpenRequest struct {
	Space         string
	SessionID     string
	Token         []byte
	LastCommitted uint64        // the last number the client saw committed
	DetachTTL     time.Duration // how long the session outlives its stream; 0: the server's default
	Writer        string        // names the program that writes; may be empty
}

// Grant is an opened or resumed session. Its epoch is durable; everything up to Committed is durable, and findable
// once Version is published.
type Grant struct {
	SessionID string
	Token     []byte // of a new session; nil on resume: only its hash is stored
	Epoch     uint64
	HeldSince uint64 // the epoch since which the request's Writer alone has held the session
	Resumed   bool
	Committed uint64
	Version   memory.Version
	Rejected  []RejectedRange // stored rejections above the request's LastCommitted
	DetachTTL time.Duration
	Space     memory.Space
}
