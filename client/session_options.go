package client

import "time"

// The defaults of SessionOptions.
const (
	DefaultLinger      = 2 * time.Millisecond
	DefaultMaxBatch    = 256
	DefaultBufferItems = 16384
	DefaultBufferBytes = 64 << 20
)

// SessionOptions tune a session. The zero value is a good start.
type SessionOptions struct {
	// Linger is how long an observation waits for others to share a message with. 0: DefaultLinger; negative: none.
	Linger time.Duration
	// MaxBatch is how many observations share a message at most. 0: DefaultMaxBatch. The server may allow fewer.
	MaxBatch int
	// BufferItems and BufferBytes bound what is kept until it is committed; when either is reached, Session.Observe
	// waits. 0: DefaultBufferItems, DefaultBufferBytes.
	BufferItems int
	BufferBytes int
	// Resume goes on with an earlier session instead of opening a new one.
	Resume *Ticket
	// DetachTTL is how long the server keeps the session without a stream, 60 s to 7 days. 0: the server decides, 1 h
	// by default.
	DetachTTL time.Duration
	// ReconnectFor is how long a lost connection is tried again before the session fails. 0: as long as the server
	// keeps the session.
	ReconnectFor time.Duration
	// OnEvent is told what happens to the session, one call at a time, from the session's own goroutines: it must
	// return soon, and must not close the session.
	OnEvent func(Event)
}

func (o SessionOptions) withDefaults() SessionOptions {
	if o.Linger == 0 {
		o.Linger = DefaultLinger
	}
	o.Linger = max(o.Linger, 0)
	if o.MaxBatch <= 0 {
		o.MaxBatch = DefaultMaxBatch
	}
	if o.BufferItems <= 0 {
		o.BufferItems = DefaultBufferItems
	}
	if o.BufferBytes <= 0 {
		o.BufferBytes = DefaultBufferBytes
	}
	return o
}

// Ticket is what it takes to go on with a session in another program: keep it as safe as a password. It marshals to
// JSON.
type Ticket struct {
	SessionID string `json:"session_id"`
	Token     []byte `json:"token"`
	// Committed is the highest sequence number known to be committed. An older one does no harm, unless so much was
	// rejected after it (65,536 runs) that the server cannot tell all of it; 0 goes on without being told.
	Committed uint64 `json:"committed"`
}

// EventKind tells what an Event is about.
type EventKind uint8

// The kinds of events.
const (
	// EventConnected: a stream serves the session. Sequence is the last committed number; of a watch, the version that it
	// begins after.
	EventConnected EventKind = iota + 1
	// EventDisconnected: the stream was lost, for Err. It is tried again After that long.
	EventDisconnected
	// EventRejected: observations were refused for good; Err is the *RejectedError.
	EventRejected
	// EventNacked: the server took nothing from Sequence on, for Err; it is sent again After that long.
	EventNacked
	// EventSlowDown: the server asks for less; observations go out in larger, fewer messages until EventSpeedUp.
	EventSlowDown
	// EventSpeedUp: the server takes observations at full speed again.
	EventSpeedUp
	// EventFailed: the session is over, for Err.
	EventFailed
)

// String returns the kind in a word.
func (k EventKind) String() string {
	names := [...]string{"unknown", "connected", "disconnected", "rejected", "nacked", "slow down", "speed up", "failed"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// Event is something that happened to a session, or to a watch. Its kind says which fields are set.
type Event struct {
	Kind     EventKind
	Sequence uint64
	After    time.Duration
	Err      error
}

// SessionStats count the session's observations and forgets since it was opened by this program.
type SessionStats struct {
	Sent      uint64 // put on the wire, again and again counted
	Resent    uint64 // of these, sent before
	Committed uint64
	Rejected  uint64
	Nacked    uint64 // sent, and not taken at that time
	Lost      uint64 // in flight when a connection broke and not found committed after; sent again
	Recovered uint64 // committed, as a reconnect showed, though their acknowledgement was lost
	Buffered  uint64 // neither committed nor rejected yet

	Reconnects uint64
}
