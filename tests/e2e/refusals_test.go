package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

var float32NaN = float32(math.NaN())

// stats asks for the server's counts.
func (s *server) stats() *engramv1.GetStatsResponse {
	s.t.Helper()
	admin := engramv1connect.NewAdminServiceClient(h2c(s.t), "http://"+s.address, connect.WithGRPC())
	r, err := admin.GetStats(s.t.Context(), connect.NewRequest(&engramv1.GetStatsRequest{}))
	require.NoError(s.t, err)
	return r.Msg
}

// post sends JSON over HTTP/1.1, as curl does.
func (s *server) post(method, body string) (int, http.Header, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.address+"/engram.v1."+method, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	var answer map[string]any
	require.NoError(s.t, json.Unmarshal(raw, &answer), "%s", raw)
	return res.StatusCode, res.Header, answer
}

// TestBadRequestsSayWhatIsWrong: each refusal over plain JSON names the field and the cause.
func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	status, _, _ := s.post("MemoryService/Observe", `{"space":"s","observations":[{"memoryId":"a","embedding":[1,0]}]}`)
	require.Equal(t, 200, status)
	rejections := map[string]struct{ observation, want string }{
		"wrong dimension": {`{"embedding":[1,0,0]}`, "has dimension 2, got 3"},
		"NaN":             {`{"embedding":["NaN",0]}`, "finite"},
		"infinite":        {`{"embedding":["Infinity",0]}`, "finite"},
		"empty":           {`{}`, "embedding"},
		"zero":            {`{"embedding":[0,0]}`, "zero"},
		"both":            {`{"embedding":[1,0],"embeddingF32":"AACAPwAAAAA="}`, "both"},
		"odd bytes":       {`{"embeddingF32":"AACAPwA="}`, "4"},
		"ttl":             {`{"embedding":[1,0],"ttl":"60s"}`, "not built yet"},
	}
	for name, c := range rejections {
		status, _, answer := s.post("MemoryService/Observe", `{"space":"s","observations":[`+c.observation+`]}`)
		assert.Equal(t, 200, status, name)
		raw, err := json.Marshal(answer["rejected"])
		require.NoError(t, err)
		assert.Contains(t, strings.ToLower(string(raw)), c.want, name)
	}
	refusals := map[string]struct {
		method, body, want string
		status             int
	}{
		"space name":       {"MemoryService/Observe", `{"space":"No Way","observations":[{"embedding":[1,0]}]}`, "space", 400},
		"nothing":          {"MemoryService/Observe", `{"space":"s"}`, "observations", 400},
		"unknown space":    {"MemoryService/Recall", `{"space":"nowhere","query":{"embedding":[1,0]}}`, "nowhere", 404},
		"query dimension":  {"MemoryService/Recall", `{"space":"s","query":{"embedding":[1,0,0]}}`, "the query has 3 components, space \"s\" has 2", 400},
		"query zero":       {"MemoryService/Recall", `{"space":"s","query":{"embedding":[0,0]}}`, "zero", 400},
		"limit":            {"MemoryService/Recall", `{"space":"s","query":{"embedding":[1,0],"limit":10001}}`, "limit", 400},
		"filter":           {"MemoryService/Recall", `{"space":"s","query":{"embedding":[1,0],"filter":{"condition":{"key":"k","op":"OP_EXISTS"}}}}`, "filter", 501},
		"space conflict":   {"AdminService/CreateSpace", `{"space":{"name":"s","dimension":3}}`, "dimension", 409},
		"delete nowhere":   {"AdminService/DeleteSpace", `{"name":"nowhere"}`, "nowhere", 404},
		"unknown key":      {"MemoryService/Recall", `{"space":"s","query":{"embedding":[1,0],"limti":3}}`, `unknown field "limti"`, 400},
		"unknown enum":     {"AdminService/CreateSpace", `{"space":{"name":"m","dimension":3,"metric":"METRIC_FOO"}}`, "METRIC_FOO", 400},
		"garbage":          {"MemoryService/Recall", `{"space":`, "", 400},
		"forget by filter": {"MemoryService/Forget", `{"space":"s","target":{"filter":{"condition":{"key":"k","op":"OP_EXISTS"}}}}`, "filter", 501},
	}
	for name, c := range refusals {
		status, _, answer := s.post(c.method, c.body)
		assert.Equal(t, c.status, status, "%s: %v", name, answer)
		assert.Contains(t, answer["message"], c.want, name)
	}
	status, _, answer := s.post("MemoryService/Recall", `{"space":"s","query":{"embedding":[1,0]}}`)
	require.Equal(t, 200, status)
	require.Len(t, answer["hits"], 1, "what was stored before is still there, and nothing else")
}

// TestBadStreamsSayWhatIsWrong: a stream that cannot go on ends with a code, a reason and the numbers.
func TestBadStreamsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	f := s.openFlow(t.Context(), &engramv1.Hello{Space: "s"})
	f.observe(1, wire("a", 1, 0))
	f.awaitAck(1)
	w := f.welcome
	hellos := map[string]struct {
		hello *engramv1.Hello
		code  connect.Code
		want  string
	}{
		"unknown session": {&engramv1.Hello{Space: "s", SessionId: "snobody", ResumeToken: []byte("x")}, connect.CodeNotFound, "snobody"},
		"wrong token":     {&engramv1.Hello{Space: "s", SessionId: w.GetSessionId(), ResumeToken: []byte("wrong")}, connect.CodePermissionDenied, "token"},
		"other space":     {&engramv1.Hello{Space: "t", SessionId: w.GetSessionId(), ResumeToken: w.GetResumeToken()}, connect.CodeFailedPrecondition, "space"},
		"server behind": {
			&engramv1.Hello{Space: "s", SessionId: w.GetSessionId(), ResumeToken: w.GetResumeToken(), LastCommittedSequence: 99},
			connect.CodeFailedPrecondition, "99",
		},
		"space name": {&engramv1.Hello{Space: "No Way"}, connect.CodeInvalidArgument, "space"},
		"graphed":    {&engramv1.Hello{Space: "s", AckLevel: engramv1.AckLevel_ACK_LEVEL_GRAPHED}, connect.CodeUnimplemented, "not built yet"},
	}
	for name, c := range hellos {
		bad := s.dialFlow(t.Context())
		bad.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: c.hello}})
		err, _ := bad.failure()
		assert.Equal(t, c.code, err.Code(), "%s: %v", name, err)
		assert.Contains(t, err.Message(), c.want, name)
	}
	mute := s.dialFlow(t.Context())
	mute.observe(1, wire("a", 1, 0))
	err, _ := mute.failure()
	assert.Equal(t, connect.CodeInvalidArgument, err.Code())
	assert.Contains(t, strings.ToLower(err.Message()), "hello")

	large := s.openFlow(t.Context(), &engramv1.Hello{Space: "s"})
	// The send itself may fail once the server has refused the message's length.
	_ = large.stream.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Observe{Observe: &engramv1.ObserveBatch{
		FirstSequence: 1, Observations: []*engramv1.Observation{{Content: strings.Repeat("x", 9<<20)}},
	}}})
	err, _ = large.failure()
	assert.Equal(t, connect.CodeResourceExhausted, err.Code(), "%v", err)

	f.observe(2, wire("b", 0, 1))
	f.awaitAck(2)
}

// TestGarbageBytes: what is no HTTP at all, and no protobuf inside gRPC, harms nobody.
func TestGarbageBytes(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	conn, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	_, err = conn.Write(bytes.Repeat([]byte{0xff, 0x00, 'x'}, 5000))
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/engram.v1.FlowService/MemoryFlow",
		bytes.NewReader([]byte{0, 0, 0, 0, 3, 0xff, 0xff, 0xff}))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/grpc")
	res, err := h2c(t).Do(req)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, "3", res.Trailer.Get("Grpc-Status")+res.Header.Get("Grpc-Status"), "%v %v", res.Header, res.Trailer)
	says := res.Trailer.Get("Grpc-Message") + res.Header.Get("Grpc-Message")
	assert.Contains(t, says, "3 bytes are no engram.v1.MemoryFlowRequest in protobuf: cannot parse")
	assert.NotContains(t, says, "engramv1", "a type of the server's")

	f := s.openFlow(t.Context(), &engramv1.Hello{Space: "s"})
	f.observe(1, wire("a", 1, 0))
	f.awaitAck(1)
}

// TestRefusedStarts: a port in use, a locked folder, a missing file, an address beyond loopback.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	pid := s.cmd.Process.Pid
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"port in use":     {[]string{"serve", "--data", t.TempDir(), "--listen", s.address}, 1, []string{s.address, "in use"}},
		"locked folder":   {[]string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}, 1, []string{dir, itoa(pid)}},
		"missing file":    {[]string{"serve", "--config", missing}, 2, []string{missing}},
		"beyond loopback": {[]string{"serve", "--data", t.TempDir(), "--listen", "0.0.0.0:0"}, 2, []string{"0.0.0.0", "--insecure"}},
		"unknown flag":    {[]string{"serve", "--prot", "1"}, 2, []string{"--prot", "--help"}},
		"unknown command": {[]string{"serv"}, 2, []string{"serv", "serve"}},
		"no server":       {[]string{"recall", "s", "--vector", "[1]", "--address", freeAddress(t)}, 3, []string{"engram serve"}},
		"no query":        {[]string{"recall", "s", "--address", s.address}, 2, []string{"--vector", "--like"}},
		"json error":      {[]string{"recall", "s", "--vector", "[1]", "--json", "--address", freeAddress(t)}, 3, []string{`"exit_code": 3`}},
		"missing input":   {[]string{"observe", "s", "nope.jsonl", "--address", s.address}, 2, []string{"nope.jsonl"}},
	} {
		r := command(t, "", c.args...)
		assert.Equal(t, c.code, r.code, "%s: %s", name, r.stderr)
		for _, want := range c.want {
			assert.Contains(t, r.stderr, want, name)
		}
	}
}

// TestValidateFindsEveryMistakeAtOnce: two wiring errors, an unknown key and a window that is too small.
func TestValidateFindsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(file, []byte(brokenPipeline), 0o600))
	r := command(t, "", "validate", file, "--json")
	require.Equal(t, 2, r.code, r.stderr)
	var found []struct {
		Line, Column  int
		Message, Hint string
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &found))
	require.Len(t, found, 4, r.stdout)
	for i, line := range []int{6, 8, 12, 15} {
		assert.Equal(t, line, found[i].Line, found[i].Message)
		assert.Positive(t, found[i].Column)
	}
	text := command(t, "", "validate", file)
	require.Equal(t, 2, text.code)
	assert.Contains(t, text.stdout, file+":6:")

	piped := command(t, brokenPipeline, "validate", "-")
	require.Equal(t, 2, piped.code)
	assert.Contains(t, piped.stdout, "/dev/stdin:6:")

	good := filepath.Join(t.TempDir(), "good.yaml")
	require.NoError(t, os.WriteFile(good, []byte("version: 1\n"), 0o600))
	require.Equal(t, 0, command(t, "", "validate", good).code)
}

const brokenPipeline = `version: 1
sources:
  rpc: { transport: rpc }
stages:
  decode: { from: rpc }
  sequence: { from: decod }
  admit: { from: sequence }
  coalesce: { from: admit, abvoe: 0.5 }
  shard: { from: coalesce }
  journal: { from: shard }
  # Smaller than the largest batch that can come: it would wait for ever.
  index: { from: journal, edge: { items: 100, bytes: 64MiB } }
  notify: { from: index }
sinks:
  replies: { from: notfy, to: origin }
`
