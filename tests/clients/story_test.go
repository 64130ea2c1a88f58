package clients

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const callTimeout = time.Minute

// story is one client's way through the whole protocol, in a space of its own.
type story struct {
	t       *testing.T
	client  client
	streams client // where the client cannot send a stream: the one that has the session instead
	space   string
	called  map[string]bool
}

// tell goes through the story, and checks that no method was left out.
func tell(t *testing.T, space string, c, streams client) {
	s := &story{t: t, client: c, streams: streams, space: space, called: map[string]bool{}}
	s.memories()
	s.recallStream()
	s.observeStream()
	session := s.memoryFlow()
	s.refusals(session)
	s.sessions(session)
	s.stats()
	s.watch()
	s.leave()
	for _, method := range methods() {
		assert.True(t, s.called[method], "%s was not called", method)
	}
}

func (s *story) memories() {
	made := answer[*engramv1.CreateSpaceResponse](s, "AdminService.CreateSpace", `{"space":{"name":%q,"dimension":2,"metric":"METRIC_DOT"}}`, s.space)
	require.Equal(s.t, engramv1.Metric_METRIC_DOT, made.GetSpace().GetMetric())
	list := answer[*engramv1.ListSpacesResponse](s, "AdminService.ListSpaces", `{"pageSize":1000}`)
	require.True(s.t, slices.ContainsFunc(list.GetSpaces(), func(space *engramv1.Space) bool { return space.GetName() == s.space }))

	stored := answer[*engramv1.ObserveResponse](s, "MemoryService.Observe", `{"space":%q,"observations":[
		{"memoryId":"tea","content":"likes green tea ☕","embedding":[1,0],"confidence":0.5,"metadata":{"n":{"intValue":"-9007199254740993"}}},
		{"memoryId":"run","embeddingF32":"AAAAAAAAgD8="},
		{"memoryId":"bad","embedding":[1,2,3]}]}`, s.space)
	require.Equal(s.t, []string{"tea", "run", ""}, stored.GetMemoryIds())
	require.Len(s.t, stored.GetRejected(), 1)
	require.EqualValues(s.t, codes.InvalidArgument, stored.GetRejected()[0].GetCode())

	found := answer[*engramv1.RecallResponse](s, "MemoryService.Recall",
		`{"space":%q,"query":{"embedding":[1,0.5],"includeContent":true,"includeEmbedding":true}}`, s.space)
	require.Len(s.t, found.GetHits(), 2)
	hit := found.GetHits()[0]
	require.Equal(s.t, "tea", hit.GetMemoryId())
	require.EqualValues(s.t, 1, hit.GetScore())
	require.Equal(s.t, "likes green tea ☕", hit.GetContent())
	require.EqualValues(s.t, -9007199254740993, hit.GetMetadata()["n"].GetIntValue(), "an integer that no float64 holds")
	require.Equal(s.t, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0}, hit.GetEmbeddingF32())

	got := answer[*engramv1.GetResponse](s, "MemoryService.Get", `{"space":%q,"memoryIds":["run","nope"]}`, s.space)
	require.Equal(s.t, []string{"run"}, ids(got.GetMemories()))
	require.Equal(s.t, []string{"nope"}, got.GetMissing())

	page := answer[*engramv1.ListMemoriesResponse](s, "MemoryService.ListMemories", `{"space":%q,"pageSize":1}`, s.space)
	require.Equal(s.t, []string{"tea"}, ids(page.GetMemories()))
	page = answer[*engramv1.ListMemoriesResponse](s, "MemoryService.ListMemories", `{"space":%q,"pageSize":1,"pageToken":%q}`, s.space, page.GetNextPageToken())
	require.Equal(s.t, []string{"run"}, ids(page.GetMemories()))
}

func (s *story) recallStream() {
	frames := stream[*engramv1.RecallStreamResponse](s, "FlowService.RecallStream",
		fmt.Sprintf(`{"space":%q,"query":{"embedding":[1,0.5],"chunkSize":1}}`, s.space))
	require.Len(s.t, frames, 4)
	require.NotNil(s.t, frames[0].GetStarted())
	require.Equal(s.t, []string{"tea"}, ids(frames[1].GetChunk().GetHits()))
	require.Equal(s.t, []string{"run"}, ids(frames[2].GetChunk().GetHits()))
	require.EqualValues(s.t, 2, frames[3].GetDone().GetTotalHits())
}

func (s *story) observeStream() {
	frames := stream[*engramv1.ObserveStreamResponse](s, "FlowService.ObserveStream",
		fmt.Sprintf(`{"hello":{"space":%q}}`, s.space),
		`{"observe":{"firstSequence":"1","observations":[{"memoryId":"a","embedding":[0,1]}]}}`,
		`{"ping":{"nonce":"7"}}`,
		`{"goodbye":{"endSession":true}}`)
	require.NotEmpty(s.t, frames[0].GetWelcome().GetSessionId())
	require.True(s.t, slices.ContainsFunc(frames, func(f *engramv1.ObserveStreamResponse) bool { return f.GetPong().GetNonce() == 7 }))
	require.True(s.t, slices.ContainsFunc(frames, func(f *engramv1.ObserveStreamResponse) bool { return f.GetAck().GetCommittedThrough() == 1 }))
	closed := frames[len(frames)-1].GetClosed()
	require.EqualValues(s.t, 1, closed.GetCommittedThrough())
	require.True(s.t, closed.GetSessionEnded())
}

// memoryFlow opens a session, resumes it, and sends again what the server has. It returns the session's first Welcome.
func (s *story) memoryFlow() *engramv1.Welcome {
	first := stream[*engramv1.MemoryFlowResponse](s, "FlowService.MemoryFlow",
		fmt.Sprintf(`{"hello":{"space":%q}}`, s.space),
		`{"observe":{"firstSequence":"1","observations":[{"memoryId":"b","embedding":[0,1]},{"memoryId":"c","embedding":[0,1]}]}}`,
		`{"recall":{"recallId":"5","query":{"embedding":[1,0.5],"limit":1}}}`,
		`{"forget":{"sequence":"3","target":{"memoryIds":["c"]}}}`,
		`{"goodbye":{}}`)
	welcome := first[0].GetWelcome()
	require.False(s.t, welcome.GetResumed())
	recalled := slices.IndexFunc(first, func(f *engramv1.MemoryFlowResponse) bool { return f.GetRecallChunk().GetRecallId() == 5 })
	require.Positive(s.t, recalled)
	require.Equal(s.t, []string{"tea"}, ids(first[recalled].GetRecallChunk().GetHits()))
	require.True(s.t, slices.ContainsFunc(first[recalled:], func(f *engramv1.MemoryFlowResponse) bool {
		return f.GetRecallDone().GetRecallId() == 5 && f.GetRecallDone().GetCode() == 0
	}))
	require.EqualValues(s.t, 3, first[len(first)-1].GetClosed().GetCommittedThrough())

	again := stream[*engramv1.MemoryFlowResponse](s, "FlowService.MemoryFlow",
		s.resume(welcome, 1),
		`{"observe":{"firstSequence":"3","observations":[{"memoryId":"twice","embedding":[0,1]},{"memoryId":"d","embedding":[0,1]}]}}`,
		`{"goodbye":{}}`)
	require.True(s.t, again[0].GetWelcome().GetResumed())
	require.EqualValues(s.t, 3, again[0].GetWelcome().GetCommittedThrough())
	require.EqualValues(s.t, 2, again[0].GetWelcome().GetEpoch())
	require.EqualValues(s.t, 4, again[len(again)-1].GetClosed().GetCommittedThrough())

	got := answer[*engramv1.GetResponse](s, "MemoryService.Get", `{"space":%q,"memoryIds":["b","c","twice","d"]}`, s.space)
	require.Equal(s.t, []string{"b", "d"}, ids(got.GetMemories()), "c is forgotten, and number 3 was trimmed")
	return welcome
}

func (s *story) resume(w *engramv1.Welcome, committed int) string {
	return fmt.Sprintf(`{"hello":{"space":%q,"sessionId":%q,"resumeToken":%q,"lastCommittedSequence":"%d"}}`,
		s.space, w.GetSessionId(), base64.StdEncoding.EncodeToString(w.GetResumeToken()), committed)
}

func (s *story) sessions(w *engramv1.Welcome) {
	token := base64.StdEncoding.EncodeToString(w.GetResumeToken())
	got := answer[*engramv1.GetSessionResponse](s, "AdminService.GetSession", `{"sessionId":%q,"resumeToken":%q}`, w.GetSessionId(), token)
	require.EqualValues(s.t, 4, got.GetSession().GetCommittedThrough())
	require.Equal(s.t, engramv1.Session_STATE_DETACHED, got.GetSession().GetState())
	list := answer[*engramv1.ListSessionsResponse](s, "AdminService.ListSessions", `{"space":%q}`, s.space)
	require.True(s.t, slices.ContainsFunc(list.GetSessions(), func(each *engramv1.Session) bool { return each.GetSessionId() == w.GetSessionId() }))
	ended := answer[*engramv1.EndSessionResponse](s, "AdminService.EndSession", `{"sessionId":%q}`, w.GetSessionId())
	require.Equal(s.t, engramv1.Session_STATE_ENDED, ended.GetSession().GetState())
	s.refused(codes.NotFound, "SESSION_EXPIRED", "", "FlowService.MemoryFlow", s.resume(w, 4))
}

func (s *story) stats() {
	got := answer[*engramv1.GetStatsResponse](s, "AdminService.GetStats", `{"space":%q}`, s.space)
	require.Positive(s.t, got.GetQueueCapacity())
	require.Positive(s.t, got.GetOffered())
}

func (s *story) watch() {
	const method = "FlowService.Watch"
	subscribe := fmt.Sprintf(`{"space":%q,"fromVersion":"1","kinds":["EVENT_KIND_STORED"]}`, s.space)
	seen := map[string]bool{}
	_, said := s.call(method, func(m proto.Message) bool {
		event := m.(*engramv1.WatchResponse).GetEvent()
		assert.True(s.t, event == nil || event.GetKind() == engramv1.EventKind_EVENT_KIND_STORED, "%v", m)
		assert.True(s.t, event == nil || event.GetVersion() > 1, "%v", m)
		for _, id := range event.GetMemoryIds() {
			seen[id] = true
		}
		return seen["d"]
	}, subscribe)
	require.NoError(s.t, said.Err())
	require.True(s.t, seen["d"], "the last that was stored")
}

func (s *story) leave() {
	forgot := answer[*engramv1.ForgetResponse](s, "MemoryService.Forget", `{"space":%q,"target":{"memoryIds":["tea","nope"]}}`, s.space)
	require.EqualValues(s.t, 1, forgot.GetMatched())
	const method = "AdminService.DeleteSpace"
	answer[*engramv1.DeleteSpaceResponse](s, method, `{"name":%q}`, s.space)
	s.refused(codes.NotFound, "SPACE_NOT_FOUND", "", "MemoryService.Recall", fmt.Sprintf(`{"space":%q,"query":{"embedding":[1,0]}}`, s.space))
}

// refusals are the shapes that an error has: a code, a word for programs, and a field where one is wrong.
func (s *story) refusals(w *engramv1.Welcome) {
	hello := fmt.Sprintf(`{"hello":{"space":%q}}`, s.space)
	s.refused(codes.InvalidArgument, "INVALID_FIELD", "space.name", "AdminService.CreateSpace", `{"space":{"name":"NO","dimension":2}}`)
	s.refused(codes.InvalidArgument, "INVALID_QUERY", "query.embedding", "MemoryService.Recall", fmt.Sprintf(`{"space":%q,"query":{"embedding":[1,2,3]}}`, s.space))
	s.refused(codes.AlreadyExists, "", "", "AdminService.CreateSpace", fmt.Sprintf(`{"space":{"name":%q,"dimension":3}}`, s.space))
	s.refused(codes.NotFound, "SPACE_NOT_FOUND", "", "MemoryService.Get", `{"space":"nowhere","memoryIds":["a"]}`)
	s.refused(codes.NotFound, "SPACE_NOT_FOUND", "", "FlowService.RecallStream", `{"space":"nowhere","query":{"embedding":[1,0]}}`)
	s.refused(codes.PermissionDenied, "WRONG_TOKEN", "", "AdminService.GetSession", fmt.Sprintf(`{"sessionId":%q,"resumeToken":"AAAA"}`, w.GetSessionId()))
	s.refused(codes.FailedPrecondition, "COMMITTED_AHEAD", "", "FlowService.MemoryFlow", s.resume(w, 99))
	s.refused(codes.InvalidArgument, "INVALID_FRAME", "", "FlowService.ObserveStream", `{"ping":{}}`)
	s.refused(codes.InvalidArgument, "INVALID_FRAME", "observe.first_sequence", "FlowService.MemoryFlow", hello, `{"observe":{"observations":[{"embedding":[1,0]}]}}`)

	// A recall that fails ends itself and not its stream.
	frames := stream[*engramv1.MemoryFlowResponse](s, "FlowService.MemoryFlow", hello,
		`{"recall":{"recallId":"1","query":{"embedding":[1,2,3]}}}`, `{"goodbye":{"endSession":true}}`)
	done := slices.IndexFunc(frames, func(f *engramv1.MemoryFlowResponse) bool { return f.GetRecallDone() != nil })
	require.Positive(s.t, done)
	require.EqualValues(s.t, codes.InvalidArgument, frames[done].GetRecallDone().GetCode())
	require.Equal(s.t, "INVALID_QUERY", frames[done].GetRecallDone().GetErrorReason())
	require.NotNil(s.t, frames[len(frames)-1].GetClosed())
}

func ids(hits []*engramv1.Hit) []string {
	all := make([]string, len(hits))
	for i, h := range hits {
		all[i] = h.GetMemoryId()
	}
	return all
}

// call makes a call, and notes that it was made.
func (s *story) call(method string, enough func(proto.Message) bool, texts ...string) ([]proto.Message, *status.Status) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), callTimeout)
	defer cancel()
	c := newCall(s.t, method, texts...)
	s.called[method] = true
	if s.streams == nil || !c.method.IsStreamingClient() {
		return s.client.call(ctx, c, enough)
	}
	// HTTP/1.1 sends a request before its answer comes: the server says so, and the session is another client's.
	_, said := s.client.call(ctx, c, enough)
	require.Contains(s.t, said.Message(), strconv.Itoa(http.StatusHTTPVersionNotSupported), "%s: %v", method, said)
	return s.streams.call(ctx, c, enough)
}

// answer makes a unary call that has to succeed.
func answer[T proto.Message](s *story, method, format string, args ...any) T {
	s.t.Helper()
	return stream[T](s, method, fmt.Sprintf(format, args...))[0]
}

// stream makes a call that has to succeed, and returns what came back: at least one message.
func stream[T proto.Message](s *story, method string, texts ...string) []T {
	s.t.Helper()
	got, said := s.call(method, nil, texts...)
	require.NoError(s.t, said.Err(), method)
	require.NotEmpty(s.t, got, method)
	all := make([]T, len(got))
	for i, m := range got {
		all[i] = m.(T)
	}
	return all
}

// refused makes a call that has to fail, and reads the error as the client shows it.
func (s *story) refused(code codes.Code, reason, field, method string, texts ...string) *status.Status {
	s.t.Helper()
	_, said := s.call(method, nil, texts...)
	require.Equal(s.t, code, said.Code(), "%s: %v", method, said)
	require.NotEmpty(s.t, said.Message())
	info, bad, _ := details(said)
	assert.Equal(s.t, reason, info.GetReason(), "%s: %v", method, said)
	if reason != "" {
		assert.Equal(s.t, "engram.v1", info.GetDomain())
	}
	if field == "" {
		return said
	}
	if assert.Len(s.t, bad.GetFieldViolations(), 1, "%s: %v", method, said) {
		assert.Equal(s.t, field, bad.GetFieldViolations()[0].GetField())
		assert.NotEmpty(s.t, bad.GetFieldViolations()[0].GetDescription())
	}
	return said
}
