package app

import (
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
)

func TestListMemories(t *testing.T) {
	for protocol, options := range threeProtocols {
		t.Run(protocol, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			f, welcome := join(t, s, faces())
			for i := range uint64(7) {
				f.observe(i+1, seen(fmt.Sprint(i), 1, float32(i)))
			}
			f.ack(7)
			memories := engramv1connect.NewMemoryServiceClient(h2c(t), "http://"+s.Address(), options...)
			_, err := memories.Forget(t.Context(), connect.NewRequest(&engramv1.ForgetRequest{
				Space: "faces", Target: &engramv1.ForgetTarget{MemoryIds: []string{welcome.GetSessionId() + "-3"}},
			}))
			require.NoError(t, err)
			request := &engramv1.ListMemoriesRequest{Space: "faces", PageSize: 4, IncludeEmbedding: true}
			var contents []string
			for pages := 1; ; pages++ {
				r, err := memories.ListMemories(t.Context(), connect.NewRequest(request))
				require.NoError(t, err)
				for _, m := range r.Msg.GetMemories() {
					contents = append(contents, m.GetContent())
					assert.Len(t, m.GetEmbeddingF32(), 8)
				}
				if request.PageToken = r.Msg.GetNextPageToken(); request.PageToken == "" {
					assert.Equal(t, 2, pages)
					break
				}
			}
			assert.Equal(t, []string{"0", "1", "3", "4", "5", "6"}, contents, "by version, without the forgotten one")

			for name, c := range map[string]struct {
				request *engramv1.ListMemoriesRequest
				code    connect.Code
			}{
				"no such space":   {&engramv1.ListMemoriesRequest{Space: "none"}, connect.CodeNotFound},
				"another's token": {&engramv1.ListMemoriesRequest{Space: "faces", PageToken: "zzz"}, connect.CodeInvalidArgument},
				"token":           {&engramv1.ListMemoriesRequest{Space: "faces", PageToken: "!"}, connect.CodeInvalidArgument},
				"page size":       {&engramv1.ListMemoriesRequest{Space: "faces", PageSize: 1001}, connect.CodeInvalidArgument},
				"filter": {&engramv1.ListMemoriesRequest{Space: "faces", Filter: &engramv1.Filter{Node: &engramv1.Filter_Condition{
					Condition: &engramv1.Condition{Key: "k", Op: engramv1.Condition_OP_EXISTS},
				}}}, connect.CodeUnimplemented},
			} {
				_, err := memories.ListMemories(t.Context(), connect.NewRequest(c.request))
				assert.Equal(t, c.code, connect.CodeOf(err), name)
			}
		})
	}
}
