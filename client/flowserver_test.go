package client

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// flowServer is a small FlowService on loopback: one session whose log outlives the listener, as a disk would. It commits
// after every batch, and its troubles are set by fields.
type flowServer struct {
	engramv1connect.UnimplementedFlowServiceHandler
	engramv1connect.UnimplementedMemoryServiceHandler
	engramv1connect.UnimplementedAdminServiceHandler

	t       *testing.T
	address string
	http    *http.Server
	served  chan struct{}

	mu       sync.Mutex
	log      []string // memory ids, committed
	epoch    uint64
	received uint64
	breakAt  func(batches int) bool // cut the stream before this batch's ack; nil: never
	nackAt   func(batches int) bool // refuse this batch
	window   uint64
	overruns int
	batches  int
	deleted  bool // the space
}

func startFlowServer(t *testing.T) *flowServer {
	t.Helper()
	f := &flowServer{t: t, window: 64}
	f.start("127.0.0.1:0")
	t.Cleanup(f.stop)
	return f
}

// start listens and serves; at the address it had before, after a stop.
func (f *flowServer) start(address string) {
	var listener net.Listener
	require.Eventually(f.t, func() (ok bool) {
		var err error
		listener, err = net.Listen("tcp", address)
		return err == nil
	}, 5*time.Second, time.Millisecond)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	mux := http.NewServeMux()
	mux.Handle(engramv1connect.NewFlowServiceHandler(f))
	mux.Handle(engramv1connect.NewMemoryServiceHandler(f))
	mux.Handle(engramv1connect.NewAdminServiceHandler(f))
	f.address = listener.Addr().String()
	f.http = &http.Server{Handler: mux, Protocols: &protocols, ReadHeaderTimeout: time.Second}
	f.served = make(chan struct{})
	go func(h *http.Server, served chan struct{}) {
		defer close(served)
		_ = h.Serve(listener)
	}(f.http, f.served)
}

// stop cuts everything at once, as a kill would.
func (f *flowServer) stop() {
	_ = f.http.Close()
	<-f.served
}

// MemoryFlow serves one stream.
func (f *flowServer) MemoryFlow(ctx context.Context, s *connect.BidiStream[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]) error {
	frame, err := s.Receive()
	if err != nil {
		return err
	}
	hello := frame.GetHello()
	f.mu.Lock()
	if hello.GetSessionId() != "" && hello.GetSessionId() != "s1" {
		f.mu.Unlock()
		return refusal(connect.CodeNotFound, "session unknown or expired", "SESSION_EXPIRED")
	}
	f.epoch++
	epoch, committed := f.epoch, uint64(len(f.log))
	f.mu.Unlock()
	err = s.Send(&engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Welcome{Welcome: &engramv1.Welcome{
		SessionId: "s1", ResumeToken: []byte("token"), Epoch: epoch, CommittedThrough: committed,
		Credit: &engramv1.Credit{SequenceLimit: committed + f.window},
	}}})
	for err == nil {
		if frame, err = s.Receive(); err == nil {
			err = f.handle(s, frame, epoch)
		}
	}
	return err
}

type flowStream interface {
	Send(*engramv1.MemoryFlowResponse) error
}

func (f *flowServer) handle(s flowStream, frame *engramv1.MemoryFlowRequest, epoch uint64) error {
	switch {
	case frame.GetObserve() != nil:
		return f.observe(s, frame.GetObserve(), epoch)
	case frame.GetRecall() != nil:
		return f.recall(s, frame.GetRecall())
	case frame.GetGoodbye() != nil:
		f.mu.Lock()
		final := uint64(len(f.log))
		f.mu.Unlock()
		return s.Send(&engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Closed{
			Closed: &engramv1.Closed{FinalSequence: final, CommittedThrough: final, SessionEnded: frame.GetGoodbye().GetEndSession()},
		}})
	}
	return nil
}

func (f *flowServer) observe(s flowStream, b *engramv1.ObserveBatch, epoch uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch < f.epoch {
		return refusal(connect.CodeAborted, "a newer stream has taken the session over", "FENCED")
	}
	f.batches++
	f.received += uint64(len(b.GetObservations()))
	expected := uint64(len(f.log)) + 1
	last := b.GetFirstSequence() + uint64(len(b.GetObservations())) - 1
	if last > expected-1+f.window {
		f.overruns++
	}
	refused := f.nackAt != nil && f.nackAt(f.batches)
	if b.GetFirstSequence() > expected || refused {
		return s.Send(&engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Nack{Nack: &engramv1.Nack{
			ExpectedSequence: expected, Reason: engramv1.Nack_REASON_RESOURCE_EXHAUSTED, RetryAfter: durationpb.New(time.Millisecond),
		}}})
	}
	for i, o := range b.GetObservations() {
		if b.GetFirstSequence()+uint64(i) >= expected {
			f.log = append(f.log, o.GetMemoryId())
		}
	}
	if f.breakAt != nil && f.breakAt(f.batches) {
		return connect.NewError(connect.CodeUnavailable, errorString("cut"))
	}
	return f.acknowledge(s)
}

func (f *flowServer) acknowledge(s flowStream) error {
	through := uint64(len(f.log))
	if err := s.Send(&engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Ack{
		Ack: &engramv1.Ack{AcceptedThrough: through, CommittedThrough: through},
	}}); err != nil {
		return err
	}
	return s.Send(&engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Credit{
		Credit: &engramv1.Credit{SequenceLimit: through + f.window},
	}})
}

// recall answers with the number of memories as the version, and the newest one.
func (f *flowServer) recall(s flowStream, op *engramv1.RecallOp) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := op.GetRecallId()
	frames := []*engramv1.MemoryFlowResponse{
		{Frame: &engramv1.MemoryFlowResponse_RecallStarted{RecallStarted: &engramv1.RecallStarted{RecallId: id, SnapshotVersion: uint64(len(f.log))}}},
		{Frame: &engramv1.MemoryFlowResponse_RecallDone{RecallDone: &engramv1.RecallDone{RecallId: id}}},
	}
	for _, frame := range frames {
		if err := s.Send(frame); err != nil {
			return err
		}
	}
	return nil
}

// requireExactlyOnce checks that the log is 1, 2, … n.
func (f *flowServer) requireExactlyOnce(n int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Len(f.t, f.log, n)
	for i, id := range f.log {
		require.Equal(f.t, strconv.Itoa(i+1), id)
	}
	require.Zero(f.t, f.overruns, "sent beyond the credit")
}

func refusal(code connect.Code, message, reason string) error {
	return wireError(code, message, &errdetails.ErrorInfo{Reason: reason})
}
