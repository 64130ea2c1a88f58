package app

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/config"
	"github.com/engram-stream/engram/internal/embed/embedtest"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

func text(content string) *engramv1.Observation { return &engramv1.Observation{Content: content} }

func spaces(t *testing.T, s *Server) map[string]*engramv1.Space {
	t.Helper()
	client := engramv1connect.NewAdminServiceClient(h2c(t), "http://"+s.Address())
	r, err := client.ListSpaces(t.Context(), connect.NewRequest(&engramv1.ListSpacesRequest{}))
	require.NoError(t, err)
	all := map[string]*engramv1.Space{}
	for _, space := range r.Msg.GetSpaces() {
		all[space.GetName()] = space
	}
	return all
}

// recallText asks over a unary call and returns the contents of the hits.
func recallText(t *testing.T, s *Server, space, query string) ([]string, error) {
	t.Helper()
	r, err := memoryClient(t, s).Recall(t.Context(), connect.NewRequest(&engramv1.RecallRequest{
		Space: space, Query: &engramv1.RecallQuery{Text: query, Limit: 2, IncludeContent: true},
	}))
	if err != nil {
		return nil, err
	}
	var contents []string
	for _, h := range r.Msg.GetHits() {
		contents = append(contents, h.GetContent())
	}
	return contents, nil
}

// rejectionOf observes one observation over a unary call, and returns why it was rejected; nil when it was not.
func rejectionOf(t *testing.T, s *Server, space string, o *engramv1.Observation) *engramv1.Rejection {
	t.Helper()
	r, err := memoryClient(t, s).Observe(t.Context(), connect.NewRequest(&engramv1.ObserveRequest{
		Space: space, Observations: []*engramv1.Observation{o},
	}))
	require.NoError(t, err)
	if len(r.Msg.GetRejected()) == 0 {
		return nil
	}
	return r.Msg.GetRejected()[0]
}

func TestTextInTheFirstMinute(t *testing.T) {
	s := startServer(t, t.TempDir())
	status, _, answer := curl(t, s, "MemoryService/Observe", `{"space":"notes","observations":[
		{"memoryId":"tea","content":"likes green tea"},{"memoryId":"run","content":"runs on Sundays"},{"content":" .,! "}]}`)
	require.Equal(t, http.StatusOK, status, "%v", answer)
	rejected := answer["rejected"].([]any)
	require.Len(t, rejected, 1)
	assert.Equal(t, "content", rejected[0].(map[string]any)["field"])
	assert.Contains(t, rejected[0].(map[string]any)["reason"], "no word")

	made := spaces(t, s)["notes"]
	assert.Equal(t, "lexical-v1-512", made.GetEmbedder())
	assert.Equal(t, uint32(512), made.GetDimension())
	assert.Equal(t, uint64(2), made.GetMemories())

	_, _, answer = curl(t, s, "MemoryService/Recall", `{"space":"notes","query":{"text":"green tea?","limit":1,"includeContent":true}}`)
	assert.Equal(t, "likes green tea", answer["hits"].([]any)[0].(map[string]any)["content"])

	f, _ := join(t, s, &engramv1.Hello{Space: "notes"})
	f.observe(1, text("plays the cello"))
	f.ack(1)
	query := &engramv1.RecallQuery{Text: "cello", Limit: 1, IncludeContent: true}
	hits, _, done := f.recall(1, query)
	require.Zero(t, done.GetCode(), done.GetReason())
	require.Len(t, hits, 1)
	assert.Equal(t, "plays the cello", hits[0].GetContent())

	flows := engramv1connect.NewFlowServiceClient(h2c(t), "http://"+s.Address())
	stream, err := flows.RecallStream(t.Context(), connect.NewRequest(&engramv1.RecallStreamRequest{Space: "notes", Query: query}))
	require.NoError(t, err)
	var streamed []*engramv1.Hit
	for stream.Receive() {
		streamed = append(streamed, stream.Msg().GetChunk().GetHits()...)
	}
	require.NoError(t, stream.Err())
	require.Len(t, streamed, 1)
	assert.Equal(t, "plays the cello", streamed[0].GetContent())
}

func TestRecallsByTextThatCannotBe(t *testing.T) {
	s := startServer(t, t.TempDir())
	require.Nil(t, rejectionOf(t, s, "vectors", seen("x", 1, 0)))
	require.Nil(t, rejectionOf(t, s, "texts", text("likes tea")))
	for name, c := range map[string]struct {
		space, query string
		code         connect.Code
		says         string
	}{
		"no space":    {"none", "tea", connect.CodeNotFound, "does not exist"},
		"no embedder": {"vectors", "tea", connect.CodeFailedPrecondition, `space "vectors" has no embedder: its vectors come from clients`},
		"no word":     {"texts", "?!", connect.CodeInvalidArgument, "query.text: there is no word in it"},
	} {
		_, err := recallText(t, s, c.space, c.query)
		assert.Equal(t, c.code, connect.CodeOf(err), name)
		assert.ErrorContains(t, err, c.says, name)
	}
	f, _ := join(t, s, &engramv1.Hello{Space: "unwritten"})
	hits, _, done := f.recall(1, &engramv1.RecallQuery{Text: "tea"})
	assert.Empty(t, hits)
	assert.Zero(t, done.GetCode(), "a session's space is made by its first write")
	_, _, done = f.recall(2, &engramv1.RecallQuery{Text: "tea", Embedding: []float32{1}})
	assert.Equal(t, uint32(connect.CodeInvalidArgument), done.GetCode())
}

func TestASpaceIsMadeForTexts(t *testing.T) {
	s := startServer(t, t.TempDir())
	create := func(space string) (int, map[string]any) {
		status, _, answer := curl(t, s, "AdminService/CreateSpace", `{"space":`+space+`}`)
		return status, answer
	}
	for i, space := range []string{
		`{"name":"a","embedder":"lexical"}`, `{"name":"b","embedder":"lexical-v1-512"}`, `{"name":"c","embedder":"lexical","dimension":512}`,
		`{"name":"a","embedder":"lexical"}`,
	} {
		status, answer := create(space)
		require.Equal(t, http.StatusOK, status, "%d: %v", i, answer)
		assert.Equal(t, "lexical-v1-512", answer["space"].(map[string]any)["embedder"])
		assert.InDelta(t, 512, answer["space"].(map[string]any)["dimension"], 0)
	}
	for space, says := range map[string]string{
		`{"name":"d","embedder":"openai"}`:                  `this server has embedder "lexical-v1-512", asked for "openai"`,
		`{"name":"d","embedder":"lexical","dimension":100}`: `embedder "lexical-v1-512" has dimension 512, asked for 100`,
		`{"name":"d"}`: "dimension 0 is not between 1 and 4096",
	} {
		status, answer := create(space)
		assert.Equal(t, http.StatusBadRequest, status, space)
		assert.Equal(t, "invalid_argument", answer["code"])
		assert.Contains(t, answer["message"], says)
		assert.Equal(t, "google.rpc.ErrorInfo", answer["details"].([]any)[0].(map[string]any)["type"], space)
	}
	require.Nil(t, rejectionOf(t, s, "a", text("likes tea")))
	found, err := recallText(t, s, "b", "tea")
	require.NoError(t, err)
	assert.Empty(t, found)
}

func TestTextForASpaceOfVectorsIsRejected(t *testing.T) {
	s := startServer(t, t.TempDir())
	require.Nil(t, rejectionOf(t, s, "vectors", seen("x", 1, 0)))
	r := rejectionOf(t, s, "vectors", text("likes tea"))
	assert.Equal(t, "embedding", r.GetField())
	assert.Equal(t, uint32(connect.CodeInvalidArgument), r.GetCode())
	assert.Contains(t, r.GetReason(), `space "vectors" has no embedder: its vectors come from clients`)

	own := make([]float32, 512)
	own[7] = 1
	require.Nil(t, rejectionOf(t, s, "texts", text("likes tea")))
	require.Nil(t, rejectionOf(t, s, "texts", seen("brought", own...)), "a vector is taken as it is")
}

// endpoint are the overrides for a server that asks an endpoint.
func endpoint(e *embedtest.Endpoint, more ...config.Override) []config.Override {
	return append([]config.Override{
		flag("embed.kind", "openai"), flag("embed.url", e.URL), flag("embed.model", "tiny"), flag("embed.tries", "1"),
		flag("embed.cache.items", "0"),
	}, more...)
}

// TestAnotherEmbedderAfterARestart: a space keeps the embedder of its first vector, and nothing is embedded again.
func TestAnotherEmbedderAfterARestart(t *testing.T) {
	dir, e := t.TempDir(), embedtest.New(t)
	first := startServer(t, dir)
	require.Nil(t, rejectionOf(t, first, "notes", text("likes green tea")))
	stop(t, first)

	second := startServer(t, dir, endpoint(e)...)
	assert.Equal(t, "lexical-v1-512", spaces(t, second)["notes"].GetEmbedder())
	r := rejectionOf(t, second, "notes", text("likes cake"))
	assert.Equal(t, uint32(connect.CodeFailedPrecondition), r.GetCode())
	assert.Equal(t, "content", r.GetField())
	assert.Equal(t, `space "notes" has its vectors from embedder "lexical-v1-512", this server has "openai:tiny"`, r.GetReason())
	_, err := recallText(t, second, "notes", "tea")
	assert.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	assert.ErrorContains(t, err, `"lexical-v1-512", this server has "openai:tiny"`)
	assert.Empty(t, e.Requests())
	require.Nil(t, rejectionOf(t, second, "other", text("likes cake")))
	assert.Equal(t, "openai:tiny", spaces(t, second)["other"].GetEmbedder())
	assert.Equal(t, uint32(embedtest.Dimension), spaces(t, second)["other"].GetDimension())
	stop(t, second)

	third := startServer(t, dir, flag("embed.kind", "none"))
	assert.Contains(t, rejectionOf(t, third, "notes", text("tea")).GetReason(), "this server embeds no texts")
	assert.Contains(t, rejectionOf(t, third, "new", text("tea")).GetReason(), "this server embeds no texts")
	_, err = recallText(t, third, "notes", "tea")
	assert.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	stop(t, third)

	asked := len(e.Requests())
	fourth := startServer(t, dir)
	found, err := recallText(t, fourth, "notes", "green tea")
	require.NoError(t, err)
	assert.Equal(t, []string{"likes green tea"}, found)
	assert.Len(t, e.Requests(), asked)
}

func TestTheKeyComesFromItsVariable(t *testing.T) {
	e := embedtest.New(t)
	environment := map[string]string{}
	build := func() (*Server, error) {
		return New(Config{
			Overrides: append(endpoint(e, flag("embed.api_key_env", "THE_KEY")), flag("listen", "127.0.0.1:0"), flag("data", t.TempDir())),
			LookupEnv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		})
	}
	_, err := build()
	require.ErrorContains(t, err, `embed.api_key_env: the environment variable "THE_KEY" is not set`)
	environment["THE_KEY"] = "sk-secret"
	s, err := build()
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	defer stop(t, s)
	require.Nil(t, rejectionOf(t, s, "notes", text("tea")))
	assert.Equal(t, []string{"Bearer sk-secret"}, e.Keys())
}

// storedVectors returns the vectors of a space by the contents, in the order of their versions.
func storedVectors(t *testing.T, s *Server, space string) (contents []string, vectors map[string][]float32) {
	t.Helper()
	r, err := memoryClient(t, s).ListMemories(t.Context(), connect.NewRequest(&engramv1.ListMemoriesRequest{Space: space, PageSize: 1000, IncludeEmbedding: true}))
	require.NoError(t, err)
	vectors = map[string][]float32{}
	for _, m := range r.Msg.GetMemories() {
		contents = append(contents, m.GetContent())
		vectors[m.GetContent()] = unpacked(m.GetEmbeddingF32())
	}
	return contents, vectors
}

// sendAll sends observations on a stream in frames, and goes back when it is told to. It waits for no retry-after.
func sendAll(f *flow, size int, all []*engramv1.Observation) (sent int) {
	committed := uint64(0)
	for next := uint64(1); committed < uint64(len(all)); {
		for ; next <= uint64(len(all)); next += uint64(size) {
			frame := all[next-1 : min(int(next)-1+size, len(all))]
			f.observe(next, frame...)
			sent += len(frame)
		}
		m := f.next()
		committed = max(committed, m.GetAck().GetCommittedThrough())
		if n := m.GetNack(); n != nil {
			next = n.GetExpectedSequence()
		}
	}
	return sent
}

// TestAMisbehavingEndpoint: whatever it does, each observation gets exactly one verdict and its own vector, in order.
func TestAMisbehavingEndpoint(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]embedtest.Behaviour{
		"429":             embedtest.Status(429, "slow down"),
		"429 and when":    embedtest.Status(429, "slow down", "Retry-After", "1"),
		"500":             embedtest.Status(500, "oh"),
		"slow":            embedtest.Silence,
		"wrong dimension": embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { i[len(i)-1].Embedding = []int{1, 2}; return i }),
		"half":            embedtest.Half,
		"cut":             embedtest.Cut,
		"too few":         embedtest.Bent(func(i []embedtest.Item) []embedtest.Item { return i[1:] }),
		"another order": embedtest.Bent(func(items []embedtest.Item) []embedtest.Item {
			for i := range items {
				items[i].Index, items[i].Embedding = items[len(items)-1-i].Index, items[len(items)-1-i].Embedding
			}
			return items
		}),
		"gone": func(http.ResponseWriter, *http.Request, []string) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const total = 60
			e := embedtest.New(t)
			s := startServer(t, t.TempDir(), endpoint(e, flag("embed.timeout", "100ms"), flag("embed.dimension", fmt.Sprint(embedtest.Dimension)), flag("embed.batch", "4"))...)
			e.Next(nil, b, nil, b, b)
			f, _ := join(t, s, &engramv1.Hello{Space: "notes"})
			var all []*engramv1.Observation
			var want []string
			for i := range total {
				all = append(all, text(fmt.Sprintf("text %d", i)))
				if i%5 == 4 {
					all[i].Embedding = embedtest.Vector(all[i].GetContent())
				}
				want = append(want, all[i].GetContent())
			}
			sent := sendAll(f, 7, all)
			contents, vectors := storedVectors(t, s, "notes")
			assert.Equal(t, want, contents)
			for content, vector := range vectors {
				assert.Equal(t, embedtest.Vector(content), vector, content)
			}
			got := stats(t, s)
			assert.Equal(t, uint64(sent), got.GetOffered())
			assert.Equal(t, uint64(total), got.GetAccepted())
			assert.Equal(t, got.GetOffered(), got.GetAccepted()+got.GetNacked()+got.GetDuplicate())
			assert.Zero(t, got.GetInFlight())
			assert.Zero(t, got.GetQueueDepth())
		})
	}
}

func TestARefusedTextIsRejectedAlone(t *testing.T) {
	e := embedtest.New(t)
	s := startServer(t, t.TempDir(), endpoint(e)...)
	f, _ := join(t, s, &engramv1.Hello{Space: "notes"})
	f.observe(1, text("a"), text(embedtest.Refuse), text("b"), text("  "), text("c"))
	ack := f.ack(5)
	require.Len(t, ack.GetRejected(), 2)
	assert.Equal(t, uint64(2), ack.GetRejected()[0].GetRange().GetFirst())
	assert.Equal(t, "content", ack.GetRejected()[0].GetField())
	assert.Contains(t, ack.GetRejected()[0].GetReason(), "status 400: a text is refused")
	assert.Equal(t, uint64(4), ack.GetRejected()[1].GetRange().GetFirst())
	contents, _ := storedVectors(t, s, "notes")
	assert.Equal(t, []string{"a", "b", "c"}, contents)
}

// TestACallThatFindsNoEndpoint is refused whole, with a time, and stored once when it is repeated.
func TestACallThatFindsNoEndpoint(t *testing.T) {
	e := embedtest.New(t)
	s := startServer(t, t.TempDir(), endpoint(e)...)
	body := `{"space":"notes","requestId":"one","observations":[{"content":"tea"},{"content":"brought","embedding":[1,0,0,0,0,0,0,0]}]}`
	e.Next(embedtest.Status(503, "starting", "Retry-After", "20"))
	status, _, answer := curl(t, s, "MemoryService/Observe", body)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, answer["message"], "status 503: starting")
	assert.Contains(t, fmt.Sprint(answer["details"]), "google.rpc.RetryInfo")
	assert.Contains(t, fmt.Sprint(answer["details"]), "EMBEDDER_UNAVAILABLE")
	assert.Empty(t, spaces(t, s), "nothing of it is stored")
	status, _, answer = curl(t, s, "MemoryService/Observe", body)
	assert.Equal(t, http.StatusOK, status, "%v", answer)
	contents, _ := storedVectors(t, s, "notes")
	assert.Equal(t, []string{"tea", "brought"}, contents)
	got := stats(t, s)
	assert.Equal(t, uint64(2), got.GetNacked())
	assert.Equal(t, got.GetOffered(), got.GetNacked()+got.GetAccepted()+got.GetRejected())
}

// TestASlowEndpointHoldsUpNobodyElse: while texts wait, vectors of other sessions pass, and the stream that waits is read.
func TestASlowEndpointHoldsUpNobodyElse(t *testing.T) {
	e := embedtest.New(t)
	s := startServer(t, t.TempDir(), endpoint(e, flag("embed.timeout", "1m"))...)
	require.Nil(t, rejectionOf(t, s, "notes", text("first")))
	gate, open := embedtest.Gate()
	defer open()
	e.Always(gate)
	waiting, _ := join(t, s, &engramv1.Hello{Space: "notes"})
	waiting.observe(1, text("slow"), seen("behind", embedtest.Vector("behind")...))
	waiting.observe(3, seen("further behind", embedtest.Vector("further behind")...))
	waiting.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Recall{Recall: &engramv1.RecallOp{
		RecallId: 9, Query: &engramv1.RecallQuery{Text: "slow query"},
	}}})
	hits, _, done := waiting.recall(1, &engramv1.RecallQuery{Embedding: embedtest.Vector("first"), Limit: 1, IncludeContent: true})
	require.Equal(t, uint64(1), done.GetRecallId())
	require.Len(t, hits, 1)

	passing, _ := join(t, s, &engramv1.Hello{Space: "notes"})
	for i := uint64(1); i <= 20; i++ {
		passing.observe(i, seen(fmt.Sprintf("quick %d", i), embedtest.Vector(fmt.Sprint(i))...))
		passing.ack(i)
	}
	assert.Equal(t, uint64(3), stats(t, s).GetInFlight())
	open()
	e.Always(nil)
	waiting.ack(3)
	contents, vectors := storedVectors(t, s, "notes")
	assert.Equal(t, []string{"slow", "behind", "further behind"}, contents[len(contents)-3:])
	assert.Equal(t, embedtest.Vector("slow"), vectors["slow"])
}

// TestAStopWhileTextsWait ends in time, and nothing that was acked is lost.
func TestAStopWhileTextsWait(t *testing.T) {
	dir, e := t.TempDir(), embedtest.New(t)
	s := startServer(t, dir, endpoint(e, flag("embed.timeout", "1m"))...)
	f, _ := join(t, s, &engramv1.Hello{Space: "notes"})
	f.observe(1, text("first"))
	f.ack(1)
	e.Always(embedtest.Silence)
	f.observe(2, text("second"))
	require.Eventually(t, func() bool { return len(e.Requests()) == 2 }, patience, time.Millisecond)
	stop(t, s)
	e.Always(nil)
	again := startServer(t, dir, endpoint(e)...)
	contents, _ := storedVectors(t, again, "notes")
	assert.Equal(t, []string{"first"}, contents)
}

func unpacked(bytes []byte) []float32 {
	vector := make([]float32, len(bytes)/4)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
	}
	return vector
}
