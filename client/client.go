package client

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

const (
	// maxResponseBytes bounds one message from the server: 10,000 hits with their embeddings fit.
	maxResponseBytes = 256 << 20

	dialTimeout      = 5 * time.Second
	pingAfterQuiet   = 15 * time.Second
	pingAnswerWithin = 15 * time.Second
)

// Client talks to one engram server. It holds no state of its own beyond idle connections, which its calls and
// sessions share. Safe for concurrent use.
type Client struct {
	address string // host:port, for messages
	http    connect.HTTPClient
	memory  engramv1connect.MemoryServiceClient
	admin   engramv1connect.AdminServiceClient
	flow    engramv1connect.FlowServiceClient
}

// Option changes how a Client is made.
type Option func(*settings)

type settings struct{ http connect.HTTPClient }

// WithHTTPClient makes the client use h, for TLS certificates, proxies or tracing of your own. Sessions need HTTP/2:
// for a plain http URL, h's transport must allow it unencrypted (http.Protocols.SetUnencryptedHTTP2).
func WithHTTPClient(h *http.Client) Option {
	return func(s *settings) { s.http = h }
}

// New returns a client of the server at baseURL: "http://127.0.0.1:7320", "https://engram.example.org", or just
// "127.0.0.1:7320", which means http. It speaks gRPC, over unencrypted HTTP/2 for http. It does not connect: the first
// call does. The error says what is wrong with the URL.
func New(baseURL string, opts ...Option) (*Client, error) {
	u, err := parseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	var set settings
	for _, o := range opts {
		o(&set)
	}
	if set.http == nil {
		set.http = &http.Client{Transport: newTransport()}
	}
	base := u.String()
	rpc := []connect.ClientOption{
		connect.WithGRPC(),
		connect.WithReadMaxBytes(maxResponseBytes),
		// Vectors hardly compress; asking for gzip would cost both ends CPU for nothing.
		connect.WithAcceptCompression("gzip", nil, nil),
	}
	calls := explained{to: set.http, address: u.Host}
	return &Client{
		address: u.Host,
		http:    set.http,
		memory:  engramv1connect.NewMemoryServiceClient(calls, base, rpc...),
		admin:   engramv1connect.NewAdminServiceClient(calls, base, rpc...),
		flow:    engramv1connect.NewFlowServiceClient(calls, base, rpc...),
	}, nil
}

// Close lets go of idle connections. Close sessions first; calls still under way are not disturbed.
func (c *Client) Close() {
	if h, ok := c.http.(*http.Client); ok {
		h.CloseIdleConnections()
	}
}

func parseBaseURL(s string) (*url.URL, error) {
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
	}
	u, err := url.Parse(full)
	switch {
	case err != nil:
		return nil, invalid("baseURL", "%q is not a URL: %v", s, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid("baseURL", "%q: the scheme must be http or https, not %s", s, u.Scheme)
	case u.Hostname() == "":
		return nil, invalid("baseURL", "%q names no host; a URL looks like http://127.0.0.1:7320", s)
	case !isPort(u.Port()):
		return nil, invalid("baseURL", "%q: a port is a number from 1 to 65535", s)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, invalid("baseURL", "%q: only scheme, host, port and path belong here", s)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// isPort says whether a port can be connected to; without one it is the scheme's.
func isPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}

// newTransport returns a transport that speaks HTTP/2 only, as gRPC needs, and notices a dead peer by itself.
func newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		Protocols:         &protocols,
		ForceAttemptHTTP2: true,
		DialContext:       (&net.Dialer{Timeout: dialTimeout, KeepAlive: pingAfterQuiet}).DialContext,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfterQuiet,
			PingTimeout:     pingAnswerWithin,
		},
	}
}

// invalid returns the error for an argument that can never work, refused before anything is sent.
func invalid(field, format string, args ...any) *Error {
	return &Error{Code: connect.CodeInvalidArgument, Reason: "BAD_ARGUMENT", Field: field, Message: fmt.Sprintf(format, args...)}
}
