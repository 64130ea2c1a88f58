package notify

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

var a, b = &session.Attachment{SessionID: "a"}, &session.Attachment{SessionID: "b"}

func stored(from *session.Attachment, sequence uint64, v memory.Version) session.Applied {
	return session.Applied{Op: session.Op{From: from, Op: memory.Op{Kind: memory.OpObserve, Sequence: sequence}}, Version: v}
}

func forgot(from *session.Attachment, sequence uint64, v memory.Version, matched uint64) session.Applied {
	op := stored(from, sequence, v)
	op.Kind, op.Matched = memory.OpForget, matched
	return op
}

func refused(from *session.Attachment, sequence uint64, v memory.Version, reason string) session.Applied {
	op := stored(from, sequence, v)
	op.Kind, op.Rejection = memory.OpRejected, &memory.Rejection{Code: 3, Reason: reason}
	return op
}

// last marks an op as the last of its wire message.
func last(op session.Applied) session.Applied {
	op.EndOfFrame = true
	return op
}

func rejected(first, last uint64, reason string) session.RejectedRange {
	return session.RejectedRange{First: first, Last: last, Rejection: memory.Rejection{Code: 3, Reason: reason}}
}

func TestFold(t *testing.T) {
	cases := map[string]struct {
		applied []session.Applied
		want    []session.Reply
		ends    []int
	}{
		"one": {
			[]session.Applied{last(stored(a, 1, 10))},
			[]session.Reply{{From: a, Through: 1, Version: 10}},
			[]int{1},
		},
		"one by one": {
			[]session.Applied{last(stored(a, 1, 10)), last(stored(a, 2, 11)), last(stored(a, 3, 12))},
			[]session.Reply{{From: a, Through: 1, Version: 10}, {From: a, Through: 2, Version: 11}, {From: a, Through: 3, Version: 12}},
			[]int{1, 2, 3},
		},
		"a message": {
			[]session.Applied{stored(a, 1, 10), stored(a, 2, 11), last(stored(a, 3, 12))},
			[]session.Reply{{From: a, Through: 3, Version: 12}},
			[]int{3},
		},
		"part of a message": {
			[]session.Applied{last(stored(a, 1, 10)), stored(a, 2, 11)},
			[]session.Reply{{From: a, Through: 1, Version: 10}, {From: a, Through: 2, Version: 11}},
			[]int{1, 2},
		},
		"two attachments": {
			[]session.Applied{stored(a, 1, 10), stored(b, 7, 11), stored(b, 8, 12), stored(a, 2, 13)},
			[]session.Reply{{From: a, Through: 1, Version: 10}, {From: b, Through: 8, Version: 12}, {From: a, Through: 2, Version: 13}},
			[]int{1, 3, 4},
		},
		"forgets": {
			[]session.Applied{forgot(a, 1, 10, 3), stored(a, 2, 11), last(forgot(a, 3, 12, 4))},
			[]session.Reply{{From: a, Through: 3, Version: 12, Matched: 7}},
			[]int{3},
		},
		"rejections": {
			[]session.Applied{refused(a, 1, 10, "zero"), refused(a, 2, 11, "zero"), refused(a, 3, 12, "NaN"), stored(a, 4, 13), refused(a, 5, 14, "NaN")},
			[]session.Reply{{From: a, Through: 5, Version: 14, Rejected: []session.RejectedRange{
				rejected(1, 2, "zero"), rejected(3, 3, "NaN"), rejected(5, 5, "NaN"),
			}}},
			[]int{5},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			replies, ends := fold(c.applied)
			assert.Equal(t, c.want, replies)
			assert.Equal(t, c.ends, ends)
		})
	}
}

func TestAReplyAnswersForItsOps(t *testing.T) {
	in, outcomes := graphtest.NewBatch(stored(a, 1, 1), last(stored(a, 2, 2)), last(stored(a, 3, 3)))
	port := graphtest.NewPort[session.Reply](1)
	require.NoError(t, stage{}.Process(t.Context(), in, port))
	require.Len(t, port.Items(), 2)
	graph.Take(port.Sent()[0].Batch, []int{0}).DeliverLive()
	assert.Equal(t, []int{0, 1}, outcomes.Order())
	port.DeliverAll()
	assert.Equal(t, 3, outcomes.Settled())
}

func TestVerify(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Fused: true}, func(graph.Deps) graphtest.Subject[session.Applied, session.Reply] {
		next := map[*session.Attachment]uint64{}
		version := memory.Version(0)
		return graphtest.Subject[session.Applied, session.Reply]{
			Stage: stage{},
			Batch: func(t *rapid.T) []session.Applied {
				ops := make([]session.Applied, rapid.IntRange(1, 9).Draw(t, "ops"))
				for i := range ops {
					from := rapid.SampledFrom([]*session.Attachment{a, b}).Draw(t, "from")
					next[from]++
					version++
					ops[i] = stored(from, next[from], version)
					ops[i].EndOfFrame = rapid.Bool().Draw(t, "end of frame")
				}
				return ops
			},
		}
	})
}

func TestRegister(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	kind := r.Lookup(graph.RoleStage, "notify")
	require.NotNil(t, kind)
	assert.NotEmpty(t, kind.Doc.Summary)
}
