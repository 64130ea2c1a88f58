package rpc

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

// overLimit is an observation over the limit of serve, 1 MiB.
func overLimit() *engramv1.ObserveRequest {
	return &engramv1.ObserveRequest{Space: "notes", Observations: []*engramv1.Observation{
		{Content: strings.Repeat("x", 1<<20), EmbeddingF32: make([]byte, 8)},
	}}
}

func refuseNone() inlet {
	return inlet{func() error { return &session.Refusal{Verdict: session.Aborted} }}
}

// Whatever the protocol, over either version of HTTP, compressed or not: the error names the setting and both sizes.
func TestAMessageOverTheLimit(t *testing.T) {
	server, hub := serve(t, refuseNone(), protocols...)
	closeIdle(t)
	h2 := &http.Client{Transport: &http.Transport{Protocols: &http.Protocols{}}}
	h2.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2.CloseIdleConnections)
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "connect json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		"connect gzip": {connect.WithSendGzip()}, "grpc gzip": {connect.WithGRPC(), connect.WithSendGzip()},
	} {
		for version, h := range map[string]*http.Client{"1.1": http.DefaultClient, "2": h2} {
			if version == "1.1" && strings.HasPrefix(name, "grpc") && !strings.HasPrefix(name, "grpc-web") {
				continue // gRPC is for HTTP/2
			}
			t.Run(name+" over HTTP/"+version, func(t *testing.T) {
				client := engramv1connect.NewMemoryServiceClient(h, server.URL, options...)
				_, err := client.Observe(t.Context(), connect.NewRequest(overLimit()))
				require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
				assert.ErrorContains(t, err, "over limits.message_bytes of 1048576")
				var wire *connect.Error
				require.ErrorAs(t, err, &wire)
				assert.NotEmpty(t, wire.Details())
				assert.Empty(t, wire.Meta().Get("Retry-After"), "the same message has no better chance later")
			})
		}
	}
	assert.Zero(t, hub.Tally(), "nothing of it was received")
}

func TestALargeBodyIsReadBeforeItIsRefused(t *testing.T) {
	server, _ := serve(t, refuseNone(), protocols...)
	status, _, text := post(t, server.URL, "application/json", strings.Repeat("x", 8<<20))
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, string(text), "the message has 8388608 bytes or more, over limits.message_bytes of 1048576")
}

// A small body may decompress to a large message, which must not be decompressed to its end.
func TestADecompressedMessageOverTheLimit(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(make([]byte, 10<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	g := &limitedGzip{limit: 1000}
	for range 2 {
		require.NoError(t, g.Reset(bytes.NewReader(packed.Bytes())))
		n, err := io.Copy(io.Discard, g)
		assert.LessOrEqual(t, n, int64(1000))
		assert.ErrorContains(t, err, "limits.message_bytes of 1000")
	}
}

// Messages with a prefix each, however they are cut into reads: all up to the first that is too large come through, and
// nothing of that one.
func TestTheLimitFollowsTheMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 20
		var sent []byte
		fits := -1
		for _, size := range rapid.SliceOf(rapid.IntRange(0, limit+2)).Draw(t, "sizes") {
			if size > limit && fits < 0 {
				fits = len(sent)
			}
			sent = append(sent, 0)
			sent = binary.BigEndian.AppendUint32(sent, uint32(size))
			sent = append(sent, make([]byte, size)...)
		}
		var r io.Reader = bytes.NewReader(sent)
		if rapid.Bool().Draw(t, "one by one") {
			r = iotest.OneByteReader(r)
		}
		if rapid.Bool().Draw(t, "with the end") {
			r = iotest.DataErrReader(r)
		}
		body := &limitedBody{ReadCloser: io.NopCloser(r), limit: limit, enveloped: true}
		got, err := io.ReadAll(body)
		if fits < 0 {
			require.NoError(t, err)
			require.Len(t, got, len(sent))
			return
		}
		require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
		// Of the prefix of the refused message a part may have come before it was known.
		require.GreaterOrEqual(t, len(got), fits)
		require.Less(t, len(got), fits+prefixBytes)
		_, again := body.Read(make([]byte, 8))
		require.ErrorIs(t, again, err)
	})
}

// A media type's case means nothing, and the limit is one of a message, not of a stream.
func TestTheCaseOfAMediaTypeMeansNothing(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/grpc": true, "Application/gRPC+proto": true, "application/grpc-web+proto": true,
		"application/Connect+json": true, "application/json": false, "Application/Proto": false,
	} {
		r := &http.Request{Header: http.Header{"Content-Type": {kind}}}
		assert.Equal(t, want, enveloped(contentType(r)), kind)
	}
	assert.Equal(t, GRPC, protocolOf(&http.Request{Header: http.Header{"Content-Type": {"APPLICATION/GRPC"}}}))
}
