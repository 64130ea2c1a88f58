package transporttest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// frame makes the frame that a line names, with the line's text laid over it.
func (c *client) frame(line command) *engramv1.MemoryFlowRequest {
	t := c.story.t
	t.Helper()
	m := &engramv1.MemoryFlowRequest{}
	switch line.verb {
	case "hello":
		hello := &engramv1.Hello{}
		line.over(t, hello)
		m.Frame, c.space = &engramv1.MemoryFlowRequest_Hello{Hello: hello}, hello.GetSpace()
	case "resume": // resume <client>: that one's session, as it would itself
		m.Frame = &engramv1.MemoryFlowRequest_Hello{Hello: c.resume(line)}
	case "observe": // observe <first>[-<last>] [id=<prefix>] [zero=<number>] [content=<bytes>]
		m.Frame = &engramv1.MemoryFlowRequest_Observe{Observe: c.batch(line)}
	case "forget": // forget <sequence> [<id> ...]
		forget := &engramv1.ForgetOp{Sequence: line.number(t, 0), Target: &engramv1.ForgetTarget{MemoryIds: line.words[1:]}}
		line.over(t, forget)
		m.Frame = &engramv1.MemoryFlowRequest_Forget{Forget: forget}
	case "recall": // recall <id>
		recall := &engramv1.RecallOp{RecallId: line.number(t, 0), Query: &engramv1.RecallQuery{Embedding: []float32{1, 0}}}
		line.over(t, recall)
		m.Frame = &engramv1.MemoryFlowRequest_Recall{Recall: recall}
	case "cancel": // cancel <recall id>
		m.Frame = &engramv1.MemoryFlowRequest_Cancel{Cancel: &engramv1.CancelRecall{RecallId: line.number(t, 0)}}
	case "ping": // ping <nonce>
		m.Frame = &engramv1.MemoryFlowRequest_Ping{Ping: &engramv1.Ping{Nonce: line.number(t, 0)}}
	case "goodbye":
		goodbye := &engramv1.Goodbye{}
		line.over(t, goodbye)
		m.Frame = &engramv1.MemoryFlowRequest_Goodbye{Goodbye: goodbye}
	case "send": // a whole frame as text; none is an empty one
		line.over(t, m)
	default:
		t.Fatalf("unknown verb %q", line.verb)
	}
	return m
}

func (c *client) resume(line command) *engramv1.Hello {
	of, known := c.story.tickets[line.word(c.story.t, 0)]
	require.True(c.story.t, known, "%s has no session to resume", line.words[0])
	hello := &engramv1.Hello{Space: of.space, SessionId: of.session, ResumeToken: of.token}
	line.over(c.story.t, hello)
	c.space = hello.GetSpace()
	return hello
}

// batch makes observations whose ids are their numbers behind a prefix, m unless the line says. The higher the number,
// the farther is its vector from the one that recalls ask for.
func (c *client) batch(line command) *engramv1.ObserveBatch {
	t := c.story.t
	t.Helper()
	first, last := numbers(c, line.word(t, 0))
	batch := &engramv1.ObserveBatch{FirstSequence: first}
	prefix, named := line.options["id"]
	if !named {
		prefix = "m"
	}
	bytes := 0
	if size := line.options["content"]; size != "" {
		var err error
		bytes, err = strconv.Atoi(size)
		require.NoError(t, err)
	}
	for n := first; n <= last; n++ {
		o := &engramv1.Observation{
			MemoryId: fmt.Sprint(prefix, n), Embedding: []float32{1, float32(n) / 100}, Content: strings.Repeat("x", bytes),
		}
		if line.options["zero"] == strconv.FormatUint(n, 10) {
			o.Embedding = []float32{0, 0}
		}
		batch.Observations = append(batch.Observations, o)
	}
	line.over(t, batch)
	return batch
}

func numbers(c *client, text string) (first, last uint64) {
	one, two, more := strings.Cut(text, "-")
	if !more {
		two = one
	}
	_, err := fmt.Sscan(one+" "+two, &first, &last)
	require.NoError(c.story.t, err, text)
	return first, last
}
