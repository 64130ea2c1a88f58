package app

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// TestBadObservationsAreRejectedOnTheStream: each consumes its number, says why, and costs nothing else.
func TestBadObservationsAreRejectedOnTheStream(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	long := strings.Repeat("x", 129)
	for name, c := range map[string]struct {
		bad   *engramv1.Observation
		field string
	}{
		"wrong dimension":    {seen("", 1, 0, 0), "embedding"},
		"NaN":                {seen("", nan, 0), "embedding"},
		"infinite, packed":   {&engramv1.Observation{EmbeddingF32: packed(inf, 0)}, "embedding_f32"},
		"empty vector":       {seen("no vector"), "embedding"},
		"zero vector":        {seen("", 0, 0), "embedding"},
		"both encodings":     {&engramv1.Observation{Embedding: []float32{1, 0}, EmbeddingF32: packed(1, 0)}, "embedding_f32"},
		"half a float":       {&engramv1.Observation{EmbeddingF32: []byte{1, 2, 3}}, "embedding_f32"},
		"long id":            {&engramv1.Observation{MemoryId: long, Embedding: []float32{1, 0}}, "memory_id"},
		"no value":           {&engramv1.Observation{Metadata: map[string]*engramv1.MetadataValue{"k": {}}, Embedding: []float32{1, 0}}, `metadata["k"]`},
		"confident beyond 1": {&engramv1.Observation{Confidence: &inf, Embedding: []float32{1, 0}}, "confidence"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			f, _ := join(t, s, faces())
			f.observe(1, seen("good", 1, 0))
			f.ack(1)
			f.observe(2, c.bad, seen("good too", 0, 1))
			ack := f.ack(3)
			require.Len(t, ack.GetRejected(), 1)
			r := ack.GetRejected()[0]
			assert.Equal(t, []uint64{2, 2}, []uint64{r.GetRange().GetFirst(), r.GetRange().GetLast()})
			assert.Equal(t, c.field, r.GetField())
			assert.NotEmpty(t, r.GetReason())
			hits, _, _ := f.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 1}})
			assert.Len(t, hits, 2, "nothing else is lost")
			got := stats(t, s)
			assert.Equal(t, []uint64{3, 2, 1}, []uint64{got.GetOffered(), got.GetAccepted(), got.GetRejected()})
		})
	}
}

func TestBadHellos(t *testing.T) {
	s := startServer(t, t.TempDir())
	f, welcome := join(t, s, faces())
	f.observe(1, seen("a", 1, 0))
	f.ack(1)
	id, token := welcome.GetSessionId(), welcome.GetResumeToken()
	for name, c := range map[string]struct {
		hello *engramv1.Hello
		code  connect.Code
		says  string
	}{
		"space out of pattern": {&engramv1.Hello{Space: "Not A Space"}, connect.CodeInvalidArgument, "space"},
		"unknown session":      {&engramv1.Hello{Space: "faces", SessionId: "snowhere", ResumeToken: token}, connect.CodeNotFound, "unknown"},
		"wrong token":          {&engramv1.Hello{Space: "faces", SessionId: id, ResumeToken: []byte("wrong")}, connect.CodePermissionDenied, "token"},
		"other space":          {&engramv1.Hello{Space: "voices", SessionId: id, ResumeToken: token}, connect.CodeFailedPrecondition, "faces"},
		"token, no session":    {&engramv1.Hello{Space: "faces", ResumeToken: token}, connect.CodeInvalidArgument, "session_id"},
		"number, no session":   {&engramv1.Hello{Space: "faces", LastCommittedSequence: 1}, connect.CodeInvalidArgument, "session_id"},
		"from the future":      {&engramv1.Hello{Space: "faces", SessionId: id, ResumeToken: token, LastCommittedSequence: 9}, connect.CodeFailedPrecondition, "9"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := dial(t, s)
			bad.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: c.hello}})
			err := bad.failure()
			assert.Equal(t, c.code, err.Code())
			assert.Contains(t, err.Message(), c.says)
		})
	}
	f.observe(2, seen("b", 1, 0))
	f.ack(2)
}

func TestUnaryBadInput(t *testing.T) {
	s := startServer(t, t.TempDir())
	_, _, _ = curl(t, s, "MemoryService/Observe", `{"space":"notes","observations":[{"embedding":[1,0]}]}`)
	for name, c := range map[string]struct {
		method, body string
		status       int
		code, says   string
	}{
		"space name":       {"MemoryService/Observe", `{"space":"Not A Space","observations":[{"embedding":[1,0]}]}`, 400, "invalid_argument", "space"},
		"no observations":  {"MemoryService/Observe", `{"space":"notes"}`, 400, "invalid_argument", "observations"},
		"long content":     {"MemoryService/Observe", `{"space":"notes","observations":[{"embedding":[1,0]},{"embedding":[1,0],"memoryId":"` + strings.Repeat("x", 129) + `"}]}`, 400, "invalid_argument", "observations[1].memory_id"},
		"not JSON":         {"MemoryService/Observe", `{"space":`, 400, "invalid_argument", "unmarshal"},
		"recall nowhere":   {"MemoryService/Recall", `{"space":"nowhere","query":{"embedding":[1,0]}}`, 404, "not_found", "nowhere"},
		"recall dimension": {"MemoryService/Recall", `{"space":"notes","query":{"embedding":[1,0,0]}}`, 400, "", "2"},
		"recall zero":      {"MemoryService/Recall", `{"space":"notes","query":{"embedding":[0,0]}}`, 400, "invalid_argument", "zero"},
		"recall nothing":   {"MemoryService/Recall", `{"space":"notes","query":{}}`, 400, "invalid_argument", "query.embedding"},
		"recall both":      {"MemoryService/Recall", `{"space":"notes","query":{"embedding":[1,0],"embeddingF32":"` + base64.StdEncoding.EncodeToString(packed(1, 0)) + `"}}`, 400, "invalid_argument", "both"},
		"too many hits":    {"MemoryService/Recall", `{"space":"notes","query":{"embedding":[1,0],"limit":10001}}`, 400, "invalid_argument", "limit"},
		"get nowhere":      {"MemoryService/Get", `{"space":"nowhere","memoryIds":["a"]}`, 404, "not_found", "nowhere"},
		"forget nothing":   {"MemoryService/Forget", `{"space":"notes","target":{}}`, 400, "invalid_argument", "memory_ids"},
		"other dimension":  {"AdminService/CreateSpace", `{"space":{"name":"notes","dimension":5}}`, 409, "already_exists", "notes"},
		"no dimension":     {"AdminService/CreateSpace", `{"space":{"name":"more"}}`, 400, "invalid_argument", "dimension"},
		"dimension 5000":   {"AdminService/CreateSpace", `{"space":{"name":"more","dimension":5000}}`, 400, "invalid_argument", "dimension"},
		"stats of nowhere": {"AdminService/GetStats", `{"space":"nowhere"}`, 404, "not_found", "nowhere"},
		"page of 1001":     {"AdminService/ListSpaces", `{"pageSize":1001}`, 400, "invalid_argument", "page_size"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, answer := curl(t, s, c.method, c.body)
			assert.Equal(t, c.status, status, "%v", answer)
			if c.code != "" {
				assert.Equal(t, c.code, answer["code"])
			}
			assert.Contains(t, answer["message"], c.says)
		})
	}
	_, _, listed := curl(t, s, "AdminService/ListSpaces", `{}`)
	assert.Len(t, listed["spaces"], 1, "nothing was made by mistake")
}

func TestErrorDetailsNameTheFieldAndTheReason(t *testing.T) {
	s := startServer(t, t.TempDir())
	_, err := memoryClient(t, s).Recall(t.Context(), connect.NewRequest(&engramv1.RecallRequest{
		Space: "nowhere", Query: &engramv1.RecallQuery{Embedding: []float32{1}},
	}))
	wire := &connect.Error{}
	require.ErrorAs(t, err, &wire)
	var info *errdetails.ErrorInfo
	var bad *errdetails.BadRequest
	for _, d := range wire.Details() {
		value, err := d.Value()
		require.NoError(t, err)
		switch v := value.(type) {
		case *errdetails.ErrorInfo:
			info = v
		case *errdetails.BadRequest:
			bad = v
		}
	}
	assert.Equal(t, "SPACE_NOT_FOUND", info.GetReason())
	assert.Equal(t, "space", bad.GetFieldViolations()[0].GetField())
	assert.Contains(t, wire.Message(), "CreateSpace", "the hint is part of the message")
}

func TestMessagesOverTheLimitAndGarbage(t *testing.T) {
	s := startServer(t, t.TempDir(), flag("limits.message_bytes", "64KiB"))
	big := strings.Repeat("x", 70<<10)
	f, welcome := join(t, s, faces())
	assert.Equal(t, uint32(64<<10), welcome.GetLimits().GetMaxMessageBytes())
	f.observe(1, seen("kept", 1, 0))
	f.ack(1)
	// The server may end the stream before all of the frame is written; why, the client reads.
	if err := f.stream.Send(observeFrame(2, seen(big, 1, 0))); !errors.Is(err, io.EOF) {
		require.NoError(t, err)
	}
	err := f.failure()
	assert.Equal(t, connect.CodeResourceExhausted, err.Code())
	assert.Contains(t, err.Message(), "limits.message_bytes of 65536", "the error says the limit")

	_, err2 := memoryClient(t, s).Observe(t.Context(), connect.NewRequest(&engramv1.ObserveRequest{
		Space: "faces", Observations: []*engramv1.Observation{seen(big, 1, 0)},
	}))
	assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err2))

	for kind, garbage := range map[string][]byte{
		"application/proto": {0xff, 0xfe, 0xfd, 1, 2, 3}, "application/connect+proto": {0, 0, 0, 0, 3, 0xff, 0xff, 0xff},
	} {
		url := "http://" + s.Address() + "/engram.v1.MemoryService/Observe"
		if strings.Contains(kind, "connect") {
			url = "http://" + s.Address() + "/engram.v1.FlowService/MemoryFlow"
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(garbage))
		require.NoError(t, err)
		r.Header.Set("Content-Type", kind)
		response, err := h2c(t).Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Contains(t, string(text), "invalid_argument", kind)
		require.NoError(t, response.Body.Close())
	}
	f, again := join(t, s, &engramv1.Hello{Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: welcome.GetResumeToken()})
	assert.Equal(t, uint64(1), again.GetCommittedThrough(), "and nothing is lost")
	f.observe(2, seen("next", 0, 1))
	f.ack(2)
}
