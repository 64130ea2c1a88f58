package main

import (
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/client"
)

// fullFor is how long a server may refuse for want of room before that is said: shorter waits are how it paces clients.
const fullFor = time.Second

// holdup tells why a session does not move: once when it begins and once when it goes on, however often the client tries
// in between. It has no clock and writes nothing; not safe for concurrent use.
type holdup struct {
	lost bool // there is no stream

	refused uint64    // the first number that the server did not take; 0: it takes all
	since   time.Time // of refused
	told    bool      // that refused holds
}

// event returns what there is to say about an event of the session; usually nothing.
func (h *holdup) event(e client.Event, now time.Time) string {
	switch e.Kind {
	case client.EventNacked:
		return h.nacked(e, now)
	default:
		return h.connection(e, ", and sending again what is not committed")
	}
}

// connection returns what there is to say of a connection that is lost, and what is done when it is back.
func (h *holdup) connection(e client.Event, then string) string {
	lost, back := e.Kind == client.EventDisconnected, e.Kind == client.EventConnected
	switch {
	case lost && !h.lost:
		h.lost = true
		return "waiting: " + plain(e.Err) + "; trying again until it is back" + then
	case back && h.lost:
		h.lost = false
		return "connected again, going on"
	}
	return ""
}

func (h *holdup) nacked(e client.Event, now time.Time) string {
	if h.refused == 0 {
		h.refused, h.since = e.Sequence, now
	}
	if h.told || !storageFailed(e.Err) && now.Sub(h.since) < fullFor {
		return ""
	}
	h.told = true
	return fmt.Sprintf("waiting: %s; trying again", plain(e.Err))
}

// storageFailed tells what somebody has to mend from what passes by itself.
func storageFailed(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Code == connect.CodeUnavailable
}

// committed notes that the server has taken a number, and returns what there is to say about that.
func (h *holdup) committed(number uint64) string {
	if h.refused == 0 || number < h.refused {
		return ""
	}
	told := h.told
	h.refused, h.told = 0, false
	if !told {
		return ""
	}
	return "the server takes observations again, going on"
}
