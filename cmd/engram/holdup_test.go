package main

import (
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"

	"github.com/engram-stream/engram/client"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func nack(number uint64, code connect.Code) client.Event {
	return client.Event{Kind: client.EventNacked, Sequence: number, Err: &client.Error{Op: "observe", Code: code, Message: "no room"}}
}

func TestALostConnectionIsToldOnce(t *testing.T) {
	var h holdup
	lost := client.Event{Kind: client.EventDisconnected, Err: &client.Error{Op: "session", Message: "cannot reach it"}}
	back := client.Event{Kind: client.EventConnected}
	assert.Empty(t, h.event(back, noon), "the first connection is no news")
	for range 2 {
		assert.Equal(t, "waiting: session: cannot reach it; trying again until it is back, and sending again what is not committed", h.event(lost, noon))
		assert.Empty(t, h.event(lost, noon))
		assert.Equal(t, "connected again, going on", h.event(back, noon))
	}
}

func TestALostWatchSendsNothingAgain(t *testing.T) {
	var h holdup
	lost := client.Event{Kind: client.EventDisconnected, Err: &client.Error{Op: "watch", Message: "cannot reach it"}}
	assert.Equal(t, "waiting: watch: cannot reach it; trying again until it is back", h.connection(lost, ""))
	assert.Equal(t, "connected again, going on", h.connection(client.Event{Kind: client.EventConnected}, ""))
}

func TestAFullDiskIsToldAtOnceAndOnce(t *testing.T) {
	var h holdup
	assert.Equal(t, "waiting: observe: no room; trying again", h.event(nack(7, connect.CodeUnavailable), noon))
	assert.Empty(t, h.event(nack(7, connect.CodeUnavailable), noon.Add(time.Hour)))
	assert.Empty(t, h.committed(6), "sent before")
	assert.Equal(t, "the server takes observations again, going on", h.committed(7))
	assert.Empty(t, h.committed(8))
}

func TestAFullServerIsToldWhenItLasts(t *testing.T) {
	var h holdup
	full := nack(7, connect.CodeResourceExhausted)
	assert.Empty(t, h.event(full, noon))
	assert.Empty(t, h.committed(7))
	assert.Empty(t, h.event(full, noon.Add(time.Hour)), "another one")
	assert.Contains(t, h.event(full, noon.Add(time.Hour+fullFor)), "waiting: ")
	assert.Contains(t, h.committed(9), "going on")
}
