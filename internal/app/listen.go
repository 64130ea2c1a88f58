package app

import (
	"errors"
	"net"
	"syscall"

	"github.com/engram-stream/engram/internal/fault"
)

// listen returns what the server answers on.
func (s *Server) listen() (net.Listener, error) {
	if s.given != nil {
		return s.given, nil
	}
	return listen(s.pipeline.Listen, s.insecure)
}

// listen opens the address. One that can be reached from beyond this machine is refused, unless insecure allows it:
// there are no keys and no TLS yet.
func listen(address string, insecure bool) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "the address cannot be resolved").WithOp("listen").
			WithSubject(address).WithHint("write host:port, such as 127.0.0.1:7320")
	}
	if !tcp.IP.IsLoopback() && !insecure {
		return nil, fault.New(fault.InvalidArgument, "it can be reached from beyond this machine, and there are no keys and no TLS yet").
			WithOp("listen").WithSubject(address).
			WithHint("use 127.0.0.1:%d, or --insecure where everyone on the network may read and write", tcp.Port)
	}
	listener, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, listenFault(address, err)
	}
	return listener, nil
}

func listenFault(address string, err error) error {
	f := fault.Wrap(fault.FailedPrecondition, err, "the address cannot be opened").WithOp("listen").WithSubject(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		f.Message = "the port is in use, perhaps by another engram"
		return f.WithHint("stop what uses it, or choose another with --listen; port 0 takes a free one")
	case errors.Is(err, syscall.EACCES):
		return f.WithHint("ports below 1024 need privileges; choose another with --listen")
	}
	return f.WithHint("choose an address of this machine with --listen")
}
