package conformance

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/transports/transporttest"
)

// flawed is inproc with a mistake that a transport may make.
type flawed struct {
	local
	spoil func(transporttest.Stream) transporttest.Stream
}

// Start implements transporttest.Transport.
func (f flawed) Start(t testing.TB, folder string, settings map[string]string) transporttest.Server {
	t.Helper()
	return flawedServer{f.local.Start(t, folder, settings), f.spoil}
}

type flawedServer struct {
	transporttest.Server
	spoil func(transporttest.Stream) transporttest.Stream
}

// Dial implements transporttest.Server.
func (s flawedServer) Dial(ctx context.Context) transporttest.Stream {
	return s.spoil(s.Server.Dial(ctx))
}

// lossy loses every frame of a kind on the way to the client.
type lossy struct {
	transporttest.Stream
	lost func(*engramv1.MemoryFlowResponse) bool
}

// Receive implements transporttest.Stream.
func (s lossy) Receive() (*engramv1.MemoryFlowResponse, error) {
	for {
		m, err := s.Stream.Receive()
		if err != nil || !s.lost(m) {
			return m, err
		}
	}
}

// swapping hands the first two observe frames over in the wrong order.
type swapping struct {
	transporttest.Stream
	held *engramv1.MemoryFlowRequest
	done bool
}

// Send implements transporttest.Stream.
func (s *swapping) Send(m *engramv1.MemoryFlowRequest) error {
	if s.done || m.GetObserve() == nil {
		return s.Stream.Send(m)
	}
	if s.held == nil {
		s.held = m
		return nil
	}
	s.done = true
	if err := s.Stream.Send(m); err != nil {
		return err
	}
	return s.Stream.Send(s.held)
}

// abrupt takes the half-close for the end.
type abrupt struct{ transporttest.Stream }

// CloseSend implements transporttest.Stream.
func (s abrupt) CloseSend() error { s.Close(); return nil }

// The suite is worth something only if it finds what a transport may get wrong.
func TestTheSuiteFindsPlantedFlaws(t *testing.T) {
	for scenario, spoil := range map[string]func(transporttest.Stream) transporttest.Stream{
		"gap": func(s transporttest.Stream) transporttest.Stream {
			return lossy{s, func(m *engramv1.MemoryFlowResponse) bool { return m.GetNack() != nil }}
		},
		"silence": func(s transporttest.Stream) transporttest.Stream {
			return lossy{s, func(m *engramv1.MemoryFlowResponse) bool { return m.GetPong() != nil }}
		},
		"recalls": func(s transporttest.Stream) transporttest.Stream {
			return lossy{s, func(m *engramv1.MemoryFlowResponse) bool { return m.GetRecallStarted() != nil }}
		},
		"shutdown": func(s transporttest.Stream) transporttest.Stream {
			return lossy{s, func(m *engramv1.MemoryFlowResponse) bool { return m.GetGoAway() != nil }}
		},
		"order":      func(s transporttest.Stream) transporttest.Stream { return &swapping{Stream: s} },
		"half_close": func(s transporttest.Stream) transporttest.Stream { return abrupt{s} },
	} {
		t.Run(scenario, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := transporttest.Scenarios(t)[scenario]
				assert.NotEqual(t, text, transporttest.Play(t, flawed{spoil: spoil}, text))
			})
		})
	}
}
