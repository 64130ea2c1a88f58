package session

import (
	"time"

	"github.com/engram-stream/engram/internal/memory"
)

// State is what a session is doing; the numbers are those of engram.v1.Session.State.
type State uint8

// The states of a session as others than its client see it.
const (
	Attached State = 1 // a stream serves it
	Detached State = 2 // it can be resumed until it expires
	Ended    State = 3 // it cannot be resumed
)

// Status describes a session to others than its client.
type Status struct {
	SessionID string
	Space     string
	State     State
	Epoch     uint64         // the newest that is durable
	Committed uint64         // everything up to this number is durable, and findable once Version is published
	Version   memory.Version // of the space at Committed; 0: nothing was written yet
	Expires   time.Time      // of a detached session
}
