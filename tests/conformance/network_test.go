package conformance

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// listener is a network within the process: a bubble's clock stands still while somebody waits for a real one.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	end    func() // closes closed
}

func listen() *listener {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.end = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error { l.end(); return nil }

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *listener) dial(ctx context.Context) (*wire, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return &wire{Conn: here}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wire is a client's connection, which can go dark: what is sent is lost, and nothing comes.
type wire struct {
	net.Conn
	dark atomic.Bool
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		if err != nil || !w.dark.Load() {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if w.dark.Load() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}
