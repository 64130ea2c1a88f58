package conformance

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/transports/transporttest"
)

func TestConnect(t *testing.T) { transporttest.Run(t, remote{"connect", connect.WithClientOptions()}) }
func TestGRPC(t *testing.T)    { transporttest.Run(t, remote{"grpc", connect.WithGRPC()}) }
func TestGRPCWeb(t *testing.T) { transporttest.Run(t, remote{"grpc-web", connect.WithGRPCWeb()}) }

// clientWindow is how much of a stream a client takes from the network unread, in bytes.
const clientWindow = 64 << 10

// remote is the transport rpc, by one of its protocols, over HTTP/2.
type remote struct {
	protocol string
	option   connect.ClientOption
}

// Has implements transporttest.Transport.
func (remote) Has(transporttest.Ability) bool { return true }

// Start implements transporttest.Transport.
func (p remote) Start(t testing.TB, folder string, settings map[string]string) transporttest.Server {
	t.Helper()
	s := &remoteServer{running: start(t, folder, "{ transport: rpc, protocols: ["+p.protocol+"] }", settings, nil), protocol: p}
	client := s.newClient(nil)
	s.memory = engramv1connect.NewMemoryServiceClient(client, url, p.options()...)
	s.admin = engramv1connect.NewAdminServiceClient(client, url, p.options()...)
	return s
}

const url = "http://engram"

// options leave compression out, so that a slow reader holds up as many bytes as the scenario says.
func (p remote) options() []connect.ClientOption {
	return []connect.ClientOption{p.option, connect.WithAcceptCompression("gzip", nil, nil)}
}

type remoteServer struct {
	*running
	protocol remote
	memory   engramv1connect.MemoryServiceClient
	admin    engramv1connect.AdminServiceClient

	mu         sync.Mutex
	transports []*http.Transport // guarded by mu
}

// newClient returns a client with a connection of its own, which it tells of.
func (s *remoteServer) newClient(dialled func(*wire)) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: clientWindow},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			w, err := s.listener.dial(ctx)
			if err == nil && dialled != nil {
				dialled(w)
			}
			return w, err
		},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transports = append(s.transports, transport)
	return &http.Client{Transport: transport}
}

// Close implements transporttest.Server.
func (s *remoteServer) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Dial implements transporttest.Server.
func (s *remoteServer) Dial(ctx context.Context) transporttest.Stream {
	ctx, cancel := context.WithCancel(ctx)
	r := &remoteStream{cancel: cancel}
	client := s.newClient(func(w *wire) { r.mu.Lock(); defer r.mu.Unlock(); r.wire = w })
	r.stream = engramv1connect.NewFlowServiceClient(client, url, s.protocol.options()...).MemoryFlow(ctx)
	_ = r.stream.Send(nil) // sends the headers; what fails is told by Receive
	return r
}

type remoteStream struct {
	stream *connect.BidiStreamForClient[engramv1.MemoryFlowRequest, engramv1.MemoryFlowResponse]
	cancel context.CancelFunc

	mu   sync.Mutex
	wire *wire // guarded by mu: dialled by the first frame
}

// Send implements transporttest.Stream.
func (s *remoteStream) Send(m *engramv1.MemoryFlowRequest) error { return s.stream.Send(m) }

// CloseSend implements transporttest.Stream.
func (s *remoteStream) CloseSend() error { return s.stream.CloseRequest() }

// Receive implements transporttest.Stream.
func (s *remoteStream) Receive() (*engramv1.MemoryFlowResponse, error) {
	m, err := s.stream.Receive()
	return m, plain(err)
}

// Close implements transporttest.Stream. To cancel the context alone would wake neither half of the call.
func (s *remoteStream) Close() {
	s.cancel()
	_ = s.stream.CloseRequest()
	_ = s.stream.CloseResponse()
}

// SendBytes implements transporttest.Garbler: protobuf sends what it does not know as it is.
func (s *remoteStream) SendBytes(raw []byte) error {
	m := &engramv1.MemoryFlowRequest{}
	m.ProtoReflect().SetUnknown(raw)
	return s.stream.Send(m)
}

// Vanish implements transporttest.Vanisher.
func (s *remoteStream) Vanish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wire.dark.Store(true)
}

// plain turns an error of Connect's into what the suite reads.
func plain(err error) error {
	wire, ok := errors.AsType[*connect.Error](err)
	if !ok || errors.Is(err, io.EOF) {
		return err
	}
	f := fault.New(kindOf(wire.Code()), "%s", wire.Message())
	for _, d := range wire.Details() {
		value, err := d.Value()
		if err != nil {
			continue
		}
		switch v := value.(type) {
		case *errdetails.ErrorInfo:
			f.Reason = v.GetReason()
		case *errdetails.BadRequest:
			f.Field = v.GetFieldViolations()[0].GetField()
		case *errdetails.RetryInfo:
			f.RetryAfter = v.GetRetryDelay().AsDuration()
		}
	}
	return f
}

func kindOf(c connect.Code) fault.Kind {
	for k := fault.InvalidArgument; k <= fault.Internal; k++ {
		if k.Code() == uint32(c) && k != fault.StorageUnavailable { // which shares its code with Unavailable
			return k
		}
	}
	return fault.Unknown
}

func unary[Req, Res any](ctx context.Context, r *Req, call func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error)) (*Res, error) {
	response, err := call(ctx, connect.NewRequest(r))
	if err != nil {
		return nil, plain(err)
	}
	return response.Msg, nil
}
