package app

import (
	"encoding/base64"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

func TestTheReadmesCallsAsPlainJSON(t *testing.T) {
	s := startServer(t, t.TempDir())
	status, _, space := curl(t, s, "AdminService/CreateSpace", `{"space":{"name":"notes","dimension":3}}`)
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "METRIC_COSINE", space["space"].(map[string]any)["metric"])

	status, _, stored := curl(t, s, "MemoryService/Observe", `{"space":"notes","observations":[
		{"memoryId":"list","content":"as a list","embedding":[1,0,0],"metadata":{"lang":{"stringValue":"en"},"n":{"intValue":"7"}}},
		{"memoryId":"bytes","content":"as bytes","embeddingF32":"`+base64.StdEncoding.EncodeToString(packed(0, 1, 0))+`"}]}`)
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, []any{"list", "bytes"}, stored["memoryIds"])
	assert.Equal(t, "2", stored["commitVersion"])

	status, _, recalled := curl(t, s, "MemoryService/Recall", `{"space":"notes","query":{"embedding":[0,1,0],"limit":1,"includeContent":true}}`)
	require.Equal(t, http.StatusOK, status)
	hit := recalled["hits"].([]any)[0].(map[string]any)
	assert.Equal(t, "bytes", hit["memoryId"])
	assert.Equal(t, "as bytes", hit["content"])
	assert.Equal(t, "2", recalled["snapshotVersion"])

	_, _, got := curl(t, s, "MemoryService/Get", `{"space":"notes","memoryIds":["list","nowhere"],"includeEmbedding":true}`)
	memory := got["memories"].([]any)[0].(map[string]any)
	assert.Equal(t, base64.StdEncoding.EncodeToString(packed(1, 0, 0)), memory["embeddingF32"])
	assert.Equal(t, "7", memory["metadata"].(map[string]any)["n"].(map[string]any)["intValue"])
	assert.Equal(t, []any{"nowhere"}, got["missing"])

	_, _, dry := curl(t, s, "MemoryService/Forget", `{"space":"notes","target":{"memoryIds":["list","nowhere"]},"dryRun":true}`)
	assert.Equal(t, map[string]any{"matched": "1"}, dry)
	_, _, forgot := curl(t, s, "MemoryService/Forget", `{"space":"notes","target":{"memoryIds":["list","nowhere"]}}`)
	assert.Equal(t, map[string]any{"matched": "1", "commitVersion": "3"}, forgot)
	_, _, gone := curl(t, s, "MemoryService/Get", `{"space":"notes","memoryIds":["list"]}`)
	assert.Equal(t, []any{"list"}, gone["missing"], "a forget is in force when it is answered")

	_, _, listed := curl(t, s, "AdminService/ListSpaces", `{}`)
	first := listed["spaces"].([]any)[0].(map[string]any)
	assert.Equal(t, "notes", first["name"])
	assert.Equal(t, "1", first["memories"])
	assert.Equal(t, "3", first["committedVersion"])
	_, _, counted := curl(t, s, "AdminService/GetStats", `{"space":"notes"}`)
	assert.Equal(t, "3", counted["accepted"])
	assert.NotContains(t, counted, "inFlight")
}

func TestASpaceIsMadeByItsFirstObservation(t *testing.T) {
	s := startServer(t, t.TempDir())
	status, _, stored := curl(t, s, "MemoryService/Observe", `{"space":"fresh","observations":[{"embedding":[1,2]}]}`)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, stored["memoryIds"], 1)
	_, _, listed := curl(t, s, "AdminService/ListSpaces", `{}`)
	space := listed["spaces"].([]any)[0].(map[string]any)
	assert.InDelta(t, 2, space["dimension"], 0)
	assert.Equal(t, "METRIC_COSINE", space["metric"])
}

func TestARequestIDIsAnsweredOnce(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir)
	request := connect.NewRequest(&engramv1.ObserveRequest{
		Space: "notes", RequestId: "r-1",
		Observations: []*engramv1.Observation{seen("a", 1, 0), {Content: "bad", Embedding: []float32{1}}, seen("c", 0, 1)},
	})
	first, err := memoryClient(t, s).Observe(t.Context(), request)
	require.NoError(t, err)
	assert.False(t, first.Msg.GetDuplicate())
	again, err := memoryClient(t, s).Observe(t.Context(), request)
	require.NoError(t, err)
	stop(t, s)
	s = startServer(t, dir)
	restarted, err := memoryClient(t, s).Observe(t.Context(), request)
	require.NoError(t, err)
	for name, later := range map[string]*engramv1.ObserveResponse{"again": again.Msg, "after a restart": restarted.Msg} {
		assert.True(t, later.GetDuplicate(), name)
		assert.Equal(t, first.Msg.GetMemoryIds(), later.GetMemoryIds(), name)
		assert.Equal(t, first.Msg.GetCommitVersion(), later.GetCommitVersion(), name)
		require.Len(t, later.GetRejected(), 1, name)
		assert.Equal(t, uint64(1), later.GetRejected()[0].GetRange().GetFirst(), name)
	}
	recalled, err := memoryClient(t, s).Recall(t.Context(), connect.NewRequest(&engramv1.RecallRequest{
		Space: "notes", Query: &engramv1.RecallQuery{Embedding: []float32{1, 1}},
	}))
	require.NoError(t, err)
	assert.Len(t, recalled.Msg.GetHits(), 2, "stored once")
}

func TestARejectedObservationDoesNotHoldUpTheOthers(t *testing.T) {
	s := startServer(t, t.TempDir())
	status, _, stored := curl(t, s, "MemoryService/Observe", `{"space":"notes","observations":[
		{"memoryId":"a","embedding":[1,0]},{"memoryId":"b","embedding":[1,0,0]},{"memoryId":"c","embedding":[0,0]},{"memoryId":"d","embedding":[0,1]}]}`)
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, []any{"a", "", "", "d"}, stored["memoryIds"])
	rejected := stored["rejected"].([]any)
	require.Len(t, rejected, 2)
	assert.Equal(t, map[string]any{"first": "1", "last": "1"}, rejected[0].(map[string]any)["range"])
	assert.Equal(t, "embedding", rejected[0].(map[string]any)["field"])
}

func TestUnbuiltPartsNameThemselves(t *testing.T) {
	s := startServer(t, t.TempDir())
	_, _, _ = curl(t, s, "AdminService/CreateSpace", `{"space":{"name":"notes","dimension":2}}`)
	vector := `"embedding":[1,0]`
	for method, c := range map[string]struct{ body, says string }{
		"MemoryService/ListMemories": {`{"space":"notes","filter":{"condition":{"key":"k","op":"OP_EXISTS"}}}`, "filter"},
		"MemoryService/Observe":      {`{"space":"notes","ackLevel":"ACK_LEVEL_GRAPHED","observations":[{` + vector + `}]}`, "ack_level"},
		"MemoryService/Recall":       {`{"space":"notes","query":{` + vector + `,"maxWait":"1s"}}`, "query.max_wait"},
		"MemoryService/Forget":       {`{"space":"notes","target":{"filter":{"condition":{"key":"k","op":"OP_EXISTS"}}}}`, "target.filter"},
	} {
		t.Run(method, func(t *testing.T) {
			status, _, answer := curl(t, s, method, c.body)
			assert.Equal(t, http.StatusNotImplemented, status)
			assert.Equal(t, "unimplemented", answer["code"])
			assert.Contains(t, answer["message"], c.says)
		})
	}
	_, _, stored := curl(t, s, "MemoryService/Observe", `{"space":"notes","observations":[{`+vector+`,"ttl":"60s"}]}`)
	rejection := stored["rejected"].([]any)[0].(map[string]any)
	assert.Equal(t, "ttl", rejection["field"])
	assert.InDelta(t, 12, rejection["code"], 0)
}
