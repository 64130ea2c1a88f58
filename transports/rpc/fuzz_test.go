package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/transports"
)

var errEmpty = fault.New(fault.NotFound, "an empty server")

// emptyJournal opens sessions and knows of nothing.
type emptyJournal struct{}

func (emptyJournal) Space(string) (memory.Space, bool)                { return memory.Space{}, false }
func (emptyJournal) ListSpaces(string, int) []memory.Space            { return nil }
func (emptyJournal) DetachSession(string, uint64)                     {}
func (emptyJournal) JournalStats() (uint64, int, int)                 { return 0, 0, 0 }
func (emptyJournal) EndSession(context.Context, string, uint64) error { return nil }

func (emptyJournal) CreateSpace(_ context.Context, s memory.Space) (memory.Space, error) {
	return s, nil
}

func (emptyJournal) DeleteSpace(context.Context, string) (memory.Space, []string, error) {
	return memory.Space{}, nil, errEmpty
}

func (emptyJournal) OpenSession(_ context.Context, r session.OpenRequest) (session.Grant, error) {
	return session.Grant{SessionID: "s", Token: []byte("token"), Epoch: 1, DetachTTL: time.Hour, Space: memory.Space{Name: r.Space}}, nil
}

func (emptyJournal) DismissSession(context.Context, string, []byte) (session.Status, error) {
	return session.Status{}, errEmpty
}

func (emptyJournal) Session(id string, _ []byte) (session.Status, error) {
	return session.Status{SessionID: id, State: session.Attached, Epoch: 1}, nil
}

func (emptyJournal) ListSessions(context.Context, string, string, int) ([]session.Status, error) {
	return nil, nil
}

// emptyIndex has nothing in it.
type emptyIndex struct{}

func (emptyIndex) Feed(space string) (memory.Feed, error) {
	return nil, fault.New(fault.NotFound, "space %q does not exist", space)
}

func (emptyIndex) Recall(context.Context, string, memory.Query) (memory.Result, error) {
	return memory.Result{}, nil
}

func (emptyIndex) Get(_ context.Context, _ string, ids []string, _ bool, _ memory.Hold) ([]memory.Hit, []string, error) {
	return nil, ids, nil
}

func (emptyIndex) List(context.Context, string, memory.Version, int, bool, memory.Hold) (page []memory.Hit, last memory.Version, more bool, err error) {
	return nil, 0, false, nil
}

func (emptyIndex) Match(context.Context, string, *memory.Forget) (uint64, error) { return 0, nil }
func (emptyIndex) WaitPublished(context.Context, string, memory.Version) error   { return nil }
func (emptyIndex) Memories(string) (alive uint64, at memory.Version)             { return 0, 0 }
func (emptyIndex) Published(string) memory.Version                               { return 0 }
func (emptyIndex) Graphed(string) memory.Version                                 { return 0 }
func (emptyIndex) Stats() memory.IndexStats                                      { return memory.IndexStats{} }

func (emptyIndex) Held(string) memory.IndexHeld { return memory.IndexHeld{} }

type idle struct{}

func (idle) HeaviestKeys(int) []string     { return nil }
func (idle) LoadOf(string) []graph.KeyLoad { return nil }

type calm struct{}

func (calm) Pressure() session.Pressure {
	return session.Pressure{State: session.CreditOK, ItemLimit: 1000, ByteLimit: 1 << 20, DrainPerSecond: 1}
}

// emptyServer answers every call without a network: an empty server that has no room for observations.
func emptyServer(log io.Writer) http.Handler {
	source := &Source{config: Config{Protocols: protocols}, hub: transports.NewHub(), services: transports.Services{
		Inlet: inlet{func() error {
			return &session.Refusal{Verdict: session.Nacked, Nack: session.NackResourceExhausted, Expected: 1, Retry: time.Second}
		}},
		Logger: slog.New(slog.NewTextHandler(log, nil)), Admission: graph.NewHandle[transports.Admission](calm{}),
		Journal: graph.NewHandle[transports.Journal](emptyJournal{}), Index: graph.NewHandle[transports.Index](emptyIndex{}),
		Embedding: graph.NewHandle[transports.Embedding](noEmbedding{}), Workload: graph.NewHandle[transports.Workload](idle{}),
	}}
	return source.Handler(Options{
		Limits: transports.Limits{MessageBytes: 4096, Streams: 8, Calls: 2, AnswerBytes: 1 << 20, RecallLimit: 10},
		Health: grpchealth.NewStaticChecker(Services()...), Ready: func() error { return nil },
	})
}

var fuzzedKinds = []string{
	"application/json", "application/proto", "application/connect+json", "application/connect+proto",
	"application/grpc", "application/grpc+json", "application/grpc-web", "application/grpc-web+json", "application/connect+", "text/plain",
}

var fuzzedProcedures = []string{
	engramv1connect.MemoryServiceObserveProcedure, engramv1connect.MemoryServiceRecallProcedure, engramv1connect.MemoryServiceGetProcedure,
	engramv1connect.MemoryServiceForgetProcedure, engramv1connect.MemoryServiceListMemoriesProcedure,
	engramv1connect.FlowServiceMemoryFlowProcedure, engramv1connect.FlowServiceObserveStreamProcedure, engramv1connect.FlowServiceRecallStreamProcedure,
	engramv1connect.FlowServiceWatchProcedure, engramv1connect.AdminServiceCreateSpaceProcedure, engramv1connect.AdminServiceListSpacesProcedure,
	engramv1connect.AdminServiceDeleteSpaceProcedure, engramv1connect.AdminServiceGetStatsProcedure, engramv1connect.AdminServiceGetSessionProcedure,
	engramv1connect.AdminServiceListSessionsProcedure, engramv1connect.AdminServiceEndSessionProcedure,
	"/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
}

// envelope puts the prefix of a stream's message before each.
func envelope(messages ...[]byte) (out []byte) {
	for _, m := range messages {
		out = binary.BigEndian.AppendUint32(append(out, 0), uint32(len(m)))
		out = append(out, m...)
	}
	return out
}

// FuzzHandler: whatever body comes to whatever procedure in whatever protocol, the answer is one of that protocol, and
// nothing panics.
func FuzzHandler(f *testing.F) {
	observe := &engramv1.ObserveRequest{Space: "notes", Observations: []*engramv1.Observation{{Embedding: []float32{1}}}}
	hello := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{Space: "notes"}}}
	batch := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: &engramv1.ObserveBatch{
		FirstSequence: 1, Observations: observe.GetObservations(),
	}}}
	for procedure, messages := range map[byte][]proto.Message{
		0: {observe}, 1: {&engramv1.RecallRequest{Space: "notes", Query: &engramv1.RecallQuery{Embedding: []float32{1}}}},
		5: {hello, batch}, 6: {hello, batch},
	} {
		var binaries, texts [][]byte
		for _, m := range messages {
			b, err := proto.Marshal(m)
			require.NoError(f, err)
			text, err := protojson.Marshal(m)
			require.NoError(f, err)
			binaries, texts = append(binaries, b), append(texts, text)
		}
		f.Add(procedure, byte(0), false, texts[0])
		f.Add(procedure, byte(1), false, binaries[0])
		for kind := byte(2); kind < 8; kind++ {
			f.Add(procedure, kind, true, envelope(binaries...))
			f.Add(procedure, kind, false, envelope(texts...))
		}
	}
	for procedure := range fuzzedProcedures {
		f.Add(byte(procedure), byte(0), false, []byte("{}"))
		f.Add(byte(procedure), byte(4), true, []byte{1, 0, 0, 0, 1, 31})
	}
	f.Fuzz(func(t *testing.T, procedure, kind byte, http2 bool, body []byte) {
		var log bytes.Buffer
		path, media := fuzzedProcedures[int(procedure)%len(fuzzedProcedures)], fuzzedKinds[int(kind)%len(fuzzedKinds)]
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", media)
		if http2 {
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		}
		w := httptest.NewRecorder()
		emptyServer(&log).ServeHTTP(w, r)
		require.NotContains(t, log.String(), "panic")
		requireAnswer(t, media, w.Result())
	})
}

// requireAnswer holds an answer to its protocol: a status, and with each error its code in the place for it.
func requireAnswer(t *testing.T, media string, answer *http.Response) {
	t.Helper()
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	switch {
	case answer.StatusCode == http.StatusUnsupportedMediaType || answer.StatusCode == http.StatusHTTPVersionNotSupported:
	case strings.HasPrefix(media, "application/grpc-web"):
		require.Equal(t, http.StatusOK, answer.StatusCode)
		if answer.Header.Get("Grpc-Status") == "" { // where an answer without messages has it
			require.Contains(t, strings.ToLower(string(text)), "grpc-status")
		}
	case strings.HasPrefix(media, "application/grpc"):
		require.Equal(t, http.StatusOK, answer.StatusCode)
		code, err := strconv.Atoi(answer.Trailer.Get("Grpc-Status"))
		require.NoError(t, err)
		require.LessOrEqual(t, code, int(connect.CodeUnauthenticated))
	case strings.HasPrefix(media, "application/connect+"):
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.NotEmpty(t, text, "the end of a stream is a message")
	case answer.StatusCode != http.StatusOK:
		var wire struct{ Code, Message string }
		require.NoError(t, json.Unmarshal(text, &wire), "%d %s", answer.StatusCode, text)
		require.NotEmpty(t, wire.Code)
	}
}

// reference says how much of a run of messages comes before the first that is over a limit, its prefix included, and how
// large that is; the whole, and 0, when none is.
func reference(sent []byte, limit int64) (before int, size int64) {
	for at := 0; at+prefixBytes <= len(sent); {
		size := int64(binary.BigEndian.Uint32(sent[at+1:]))
		if size > limit {
			return at, size
		}
		at += prefixBytes + int(min(size, int64(len(sent))))
	}
	return len(sent), 0
}

// FuzzLimitFollowsTheMessages: however a body is cut into reads, what comes through and what is refused is what a parser
// of the whole says.
func FuzzLimitFollowsTheMessages(f *testing.F) {
	f.Add(uint16(16), []byte{3}, envelope(make([]byte, 4), make([]byte, 16), make([]byte, 17)))
	f.Add(uint16(0), []byte{1}, envelope(nil, nil, []byte{1}))
	f.Add(uint16(300), []byte{5, 4, 1}, []byte{0, 255, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, limit uint16, cuts, sent []byte) {
		before, size := reference(sent, int64(limit))
		body := &limitedBody{ReadCloser: io.NopCloser(&cutReader{sent: sent, cuts: cuts}), limit: int64(limit), enveloped: true}
		got, err := io.ReadAll(body)
		require.Equal(t, sent[:len(got)], got)
		if size == 0 {
			require.NoError(t, err)
			require.Len(t, got, len(sent))
			return
		}
		require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
		require.ErrorContains(t, err, " has "+strconv.FormatInt(size, 10)+" bytes")
		// Of the refused prefix a part may have come in an earlier read.
		require.GreaterOrEqual(t, len(got), before)
		require.Less(t, len(got), before+prefixBytes)
	})
}

// cutReader returns as many bytes a read as its cuts say, in turn.
type cutReader struct {
	sent, cuts []byte
	read       int
}

func (c *cutReader) Read(p []byte) (int, error) {
	if len(c.sent) == 0 {
		return 0, io.EOF
	}
	n := len(c.sent)
	if len(c.cuts) > 0 {
		n = min(n, 1+int(c.cuts[c.read%len(c.cuts)]))
	}
	c.read++
	n = copy(p, c.sent[:n])
	c.sent = c.sent[n:]
	return n, nil
}
