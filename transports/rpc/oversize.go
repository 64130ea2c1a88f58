package rpc

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/engram-stream/engram/transports"
)

const (
	prefixBytes = 5 // of a message on a stream: a flag and its length
	// maxDrainBytes is how much of a refused body is read where clients write all of it before they read the answer: over
	// HTTP/1.1, and by curl over HTTP/2 too.
	maxDrainBytes = 64 << 20
)

// tooLarge refuses a message by its size before it is read. Connect's own limit stands behind it; it says less, and
// reads what it refuses to its end.
func tooLarge(size, limit int64) *connect.Error { return toWire(transports.TooLarge(size, limit)) }

// limitMessages puts the size limit in front of the handlers. Connect passes on what a body's Read returns.
func limitMessages(limit int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &limitedBody{ReadCloser: r.Body, limit: int64(limit), enveloped: enveloped(contentType(r))}
		if !body.enveloped {
			body.left, body.declared = body.limit, r.ContentLength
		}
		if (r.ProtoMajor == 1 || !body.enveloped) && r.Header.Get("Expect") == "" {
			body.drain = maxDrainBytes
		}
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// enveloped says whether a body of this type is a run of messages with a prefix each, rather than one message.
func enveloped(kind string) bool {
	return strings.HasPrefix(kind, "application/grpc") || strings.HasPrefix(kind, "application/connect+")
}

// limitedBody reads a request's body up to a message over the limit, where it ends with the error that says so. Not
// safe for concurrent use, like any body.
type limitedBody struct {
	io.ReadCloser
	limit     int64
	enveloped bool
	declared  int64 // bytes of a body that is one message; 0 or less: not known
	drain     int64 // bytes to read of what is refused

	prefix [prefixBytes]byte // of the next message, as far as it has come
	have   int
	left   int64 // of the message; with prefixes, 0 says that the next one comes
	err    error // once set, all that is read
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.declared > b.limit {
		return 0, b.refuse(b.declared)
	}
	n, err = b.ReadCloser.Read(p)
	if !b.enveloped {
		if b.left -= int64(n); b.left < 0 {
			return 0, b.refuse(b.limit - b.left)
		}
		return n, err
	}
	fits, size := b.follow(p[:n])
	if size > b.limit {
		return fits, b.refuse(size)
	}
	return n, err
}

func (b *limitedBody) refuse(size int64) error {
	b.err = tooLarge(size, b.limit)
	_, _ = io.CopyN(io.Discard, b.ReadCloser, b.drain)
	return b.err
}

// follow follows the messages through what was read, up to the prefix of one over the limit: it returns how much comes
// before that, and the size that it tells.
func (b *limitedBody) follow(p []byte) (fits int, size int64) {
	for at := 0; at < len(p); {
		if b.left > 0 {
			step := min(b.left, int64(len(p)-at))
			b.left -= step
			at += int(step)
			continue
		}
		step := copy(b.prefix[b.have:], p[at:])
		at += step
		if b.have += step; b.have < prefixBytes {
			break
		}
		b.have, b.left = 0, int64(binary.BigEndian.Uint32(b.prefix[1:]))
		if b.left > b.limit {
			return max(0, at-prefixBytes), b.left
		}
	}
	return len(p), 0
}

// limitedGzip refuses a message that is over the limit once it is decompressed, without decompressing it to its end.
type limitedGzip struct {
	gzip.Reader
	limit, left int64
}

// Reset implements connect.Decompressor.
func (g *limitedGzip) Reset(r io.Reader) error {
	g.left = g.limit
	return g.Reader.Reset(r)
}

// Read implements io.Reader.
func (g *limitedGzip) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p)
	if g.left -= int64(n); g.left < 0 {
		return 0, tooLarge(g.limit-g.left, g.limit)
	}
	return n, err
}

func gzipUpTo(limit int) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &limitedGzip{limit: int64(limit)} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) },
	)
}
