// Package transporttest is the test kit of transports: one set of scenarios that every way into a server has to pass.
//
// A scenario is a file in testdata: what clients do, "----", what they are told, an empty line; README.md has the
// language. Each runs against a server with a real pipeline, in a bubble of testing/synctest: minutes of
// silence take no time, and "nothing comes" is certain. What a file expects are the protocol's promises, not how frames
// happen to be cut: acks are folded, credit and heartbeats are left out unless a line waits for them.
//
// A new transport implements Transport over connections in memory, since a bubble's clock stands still while somebody
// waits for a socket, and calls Run. It changes no scenario: what it cannot have it leaves out of Has.
package transporttest

import (
	"context"
	"testing"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Transport is what a transport's test provides.
type Transport interface {
	// Start starts a server on a data folder, under settings by their path: "limits.message_bytes". It is called once
	// more on the same folder when a scenario restarts the server, and fails the test when there is no server to return.
	Start(t testing.TB, folder string, settings map[string]string) Server
	// Has says whether the transport has what only some have.
	Has(Ability) bool
}

// Ability is what only some transports have. A scenario that needs one that is missing is skipped.
type Ability string

// The abilities.
const (
	Bytes   Ability = "bytes"   // frames travel encoded, so that they can be garbled; see Garbler
	Network Ability = "network" // a client can vanish without a word; see Vanisher
)

// Server is a running server as its clients reach it. Errors of calls and streams are a *fault.Error with what a client
// can tell: kind, reason, field, message and when to retry. Safe for concurrent use.
type Server interface {
	// Dial opens a stream of MemoryFlow.
	Dial(context.Context) Stream
	// Stop ends the server in order, as a signal would.
	Stop(context.Context) error
	// Close lets go of what is left on the clients' side, after Stop.
	Close()

	Observe(context.Context, *engramv1.ObserveRequest) (*engramv1.ObserveResponse, error)
	Recall(context.Context, *engramv1.RecallRequest) (*engramv1.RecallResponse, error)
	Get(context.Context, *engramv1.GetRequest) (*engramv1.GetResponse, error)
	Forget(context.Context, *engramv1.ForgetRequest) (*engramv1.ForgetResponse, error)
	ListMemories(context.Context, *engramv1.ListMemoriesRequest) (*engramv1.ListMemoriesResponse, error)
	CreateSpace(context.Context, *engramv1.CreateSpaceRequest) (*engramv1.CreateSpaceResponse, error)
	ListSpaces(context.Context, *engramv1.ListSpacesRequest) (*engramv1.ListSpacesResponse, error)
	DeleteSpace(context.Context, *engramv1.DeleteSpaceRequest) (*engramv1.DeleteSpaceResponse, error)
	GetStats(context.Context, *engramv1.GetStatsRequest) (*engramv1.GetStatsResponse, error)
	GetSession(context.Context, *engramv1.GetSessionRequest) (*engramv1.GetSessionResponse, error)
	ListSessions(context.Context, *engramv1.ListSessionsRequest) (*engramv1.ListSessionsResponse, error)
	EndSession(context.Context, *engramv1.EndSessionRequest) (*engramv1.EndSessionResponse, error)
}

// Stream is a client's end of MemoryFlow. Send and CloseSend are called by one goroutine, Receive by another, Close by
// any.
type Stream interface {
	// Send returns when the transport has taken the frame. An error says that the stream has ended; Receive tells why.
	Send(*engramv1.MemoryFlowRequest) error
	// CloseSend is the half-close: no frame follows.
	CloseSend() error
	// Receive returns the next frame; io.EOF when the server has ended the stream in order.
	Receive() (*engramv1.MemoryFlowResponse, error)
	// Close breaks the stream.
	Close()
}

// Garbler is a Stream with Bytes.
type Garbler interface {
	// SendBytes sends them as one frame, which they need not be.
	SendBytes([]byte) error
}

// Vanisher is a Stream with Network.
type Vanisher interface {
	// Vanish makes the client dead to the server: from now on nothing arrives on either side, and nobody says so.
	Vanish()
}
