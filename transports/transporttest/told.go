package transporttest

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/engram-stream/engram/internal/fault"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// acks folds the acks of a stream, since they are cumulative and a server may put several into one.
type acks struct {
	committed, version uint64
	rejected           []*engramv1.Rejection // since it was last told
	changed            bool                  // since it was last told
}

// add takes one in. It prints what no ack may do.
func (a *acks) add(c *client, m *engramv1.Ack) (said string) {
	if m.GetCommittedThrough() < a.committed || m.GetCommitVersion() < a.version || m.GetAcceptedThrough() < m.GetCommittedThrough() {
		said = c.says("ack went back to accepted=%d committed=%d version=%d", m.GetAcceptedThrough(), m.GetCommittedThrough(), m.GetCommitVersion())
	}
	a.committed, a.version = m.GetCommittedThrough(), m.GetCommitVersion()
	a.rejected = append(a.rejected, m.GetRejected()...)
	a.changed = true
	return said
}

func (a *acks) tell(c *client) string {
	said := c.says("acked %d version=%d%s", a.committed, a.version, rejections(a.rejected))
	a.rejected, a.changed = nil, false
	return said
}

// news tells, if there is anything to tell.
func (a *acks) news(c *client) string {
	if !a.changed {
		return ""
	}
	return a.tell(c)
}

func rejections(all []*engramv1.Rejection) string {
	var out strings.Builder
	for _, r := range all {
		fmt.Fprintf(&out, " rejected %d-%d %s %s", r.GetRange().GetFirst(), r.GetRange().GetLast(), code.Code(r.GetCode()), r.GetField())
	}
	return strings.TrimRight(out.String(), " ")
}

// recalled is what has come for one recall.
type recalled struct {
	started bool
	ids     []string
	done    *engramv1.RecallDone
}

// hearRecall collects the answers of recalls, which may come between each other's.
func (c *client) hearRecall(m *engramv1.MemoryFlowResponse, w wanted) (said string, found bool) {
	switch f := m.GetFrame().(type) {
	case *engramv1.MemoryFlowResponse_RecallStarted:
		c.recalled(f.RecallStarted.GetRecallId()).started = true
		return "", w.what == "started" && f.RecallStarted.GetRecallId() == w.number
	case *engramv1.MemoryFlowResponse_RecallChunk:
		r := c.recalled(f.RecallChunk.GetRecallId())
		if !r.started {
			said = c.says("hits of recall %d came before it started", f.RecallChunk.GetRecallId())
		}
		for _, h := range f.RecallChunk.GetHits() {
			r.ids = append(r.ids, h.GetMemoryId())
		}
		return said, false
	case *engramv1.MemoryFlowResponse_RecallDone:
		id := f.RecallDone.GetRecallId()
		c.recalled(id).done = f.RecallDone
		if w.what == "recall" && w.number == id {
			return c.tellRecall(id), true
		}
		return "", false
	}
	return c.says("a frame without a kind"), false
}

func (c *client) recalled(id uint64) *recalled {
	if c.recalls[id] == nil {
		c.recalls[id] = &recalled{}
	}
	return c.recalls[id]
}

// tellRecall tells a recall once: its id may be used again.
func (c *client) tellRecall(id uint64) string {
	r := c.recalls[id]
	delete(c.recalls, id)
	if r.done.GetCode() != 0 { // how far it came is chance
		return c.says("recall %d: %s %s%s", id, code.Code(r.done.GetCode()), r.done.GetErrorReason(), retry(r.done.GetRetryAfter()))
	}
	said := strings.Join(r.ids, " ")
	switch {
	case len(r.ids) == 0:
		said = "no hits"
	case len(r.ids) > mostTold:
		said = fmt.Sprintf("%d hits", len(r.ids))
	}
	if int(r.done.GetTotalHits()) != len(r.ids) {
		said += fmt.Sprintf(", but %d by its count", r.done.GetTotalHits())
	}
	return c.says("recall %d: %s", id, said)
}

// mostTold is how many hits are told by name.
const mostTold = 20

// failure renders an error as what a program can tell by.
func failure(err error) string {
	f := fault.As(err)
	if f == nil {
		return fmt.Sprintf("with an error that is no fault.Error: %v", err)
	}
	said := code.Code(f.Kind.Code()).String()
	if f.Reason != "" {
		said += " " + f.Reason
	}
	if f.Field != "" {
		said += " field=" + f.Field
	}
	return said + retryOf(f.RetryAfter > 0)
}

// retry says whether there is a time to wait: how long varies with the load.
func retry(d *durationpb.Duration) string { return retryOf(d.AsDuration() > 0) }

func retryOf(said bool) string {
	if said {
		return " retry"
	}
	return ""
}

// short is an enum's name without its type's.
func short(e interface {
	Descriptor() protoreflect.EnumDescriptor
	Number() protoreflect.EnumNumber
},
) string {
	name := string(e.Descriptor().Values().ByNumber(e.Number()).Name())
	_, name, _ = strings.Cut(name, "_")
	return name
}
