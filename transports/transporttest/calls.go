package transporttest

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// long is a word of so many bytes.
var long = regexp.MustCompile(`\$[0-9]+`)

// call makes a unary call: `call Recall space:"a" ...`. It prints the answer as JSON, or the error.
func (s *story) call(rest string) string {
	s.t.Helper()
	require.NotNil(s.t, s.server, "no server is running")
	method, text, _ := strings.Cut(rest, " ")
	do, known := s.calls()[method]
	require.True(s.t, known, "unknown call %q", method)
	for name, id := range s.ids {
		text = strings.ReplaceAll(text, "$"+name, id)
	}
	text = long.ReplaceAllStringFunc(text, func(word string) string {
		n, _ := strconv.Atoi(word[1:])
		return strings.Repeat("x", n)
	})
	answer, err := do(text)
	if err != nil {
		return method + ": " + failure(err) + "\n"
	}
	raw, err := protojson.Marshal(answer)
	require.NoError(s.t, err)
	var compact bytes.Buffer // protojson varies its spaces, so that nobody relies on them
	require.NoError(s.t, json.Compact(&compact, raw))
	said := compact.String()
	for name, id := range s.ids {
		said = strings.ReplaceAll(said, id, "$"+name)
	}
	return method + ": " + said + "\n"
}

type caller func(text string) (proto.Message, error)

func (s *story) calls() map[string]caller {
	return map[string]caller{
		"Observe":      unary(s, s.server.Observe),
		"Recall":       unary(s, s.server.Recall),
		"Get":          unary(s, s.server.Get),
		"Forget":       unary(s, s.server.Forget),
		"ListMemories": unary(s, s.server.ListMemories),
		"CreateSpace":  unary(s, s.server.CreateSpace),
		"ListSpaces":   unary(s, s.server.ListSpaces),
		"DeleteSpace":  unary(s, s.server.DeleteSpace),
		"GetStats":     unary(s, s.stats),
		"GetSession":   unary(s, s.server.GetSession),
		"ListSessions": unary(s, s.server.ListSessions),
		"EndSession":   unary(s, s.server.EndSession),
	}
}

// stats is GetStats without what the index and the workers are busy with, which no transport decides.
func (s *story) stats(ctx context.Context, r *engramv1.GetStatsRequest) (*engramv1.GetStatsResponse, error) {
	stats, err := s.server.GetStats(ctx, r)
	if err == nil {
		stats.Index, stats.HeaviestSpaces = nil, nil
	}
	return stats, err
}

func unary[Req any, Message interface {
	*Req
	proto.Message
}, Res proto.Message](s *story, do func(context.Context, Message) (Res, error),
) caller {
	return func(text string) (proto.Message, error) {
		var request Message = new(Req)
		require.NoError(s.t, prototext.Unmarshal([]byte(text), request), text)
		return do(s.t.Context(), request)
	}
}
