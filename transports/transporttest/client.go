package transporttest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// client is one stream, and what its client has been told. It takes a frame only while a line waits for one, and one
// ahead: a client that awaits nothing is a slow reader.
type client struct {
	story  *story
	name   string
	stream Stream
	over   bool // the end has been seen

	dropped bool // what was on its way is lost, or not: nothing of it is told

	space   string // as Hello asked
	acks    acks
	recalls map[uint64]*recalled

	incoming chan event
	quit     chan struct{}
	read     chan struct{} // closed when the reader has ended
}

// event is a frame, or the end of the stream.
type event struct {
	frame *engramv1.MemoryFlowResponse
	err   error
}

func newClient(s *story, name string, stream Stream) *client {
	c := &client{
		story: s, name: name, stream: stream, recalls: map[uint64]*recalled{},
		incoming: make(chan event), quit: make(chan struct{}), read: make(chan struct{}),
	}
	go c.receive()
	return c
}

func (c *client) receive() {
	defer close(c.read)
	for {
		frame, err := c.stream.Receive()
		select {
		case c.incoming <- event{frame, err}:
		case <-c.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// close breaks the stream, unless it has ended, and waits for the reader.
func (c *client) close() {
	c.over = true
	close(c.quit)
	c.stream.Close()
	<-c.read
}

// run does what a line says and returns what it prints.
func (c *client) run(line command) string {
	c.story.t.Helper()
	switch line.verb {
	case "await":
		return c.await(line)
	case "quiet":
		return c.quiet()
	case "half-close":
		require.NoError(c.story.t, c.stream.CloseSend())
	case "listen":
		return c.listen(line)
	case "drop":
		synctest.Wait() // what was sent has arrived
		c.dropped = true
		c.stream.Close()
	case "vanish":
		c.stream.(Vanisher).Vanish()
	case "bytes":
		_ = c.stream.(Garbler).SendBytes([]byte(strings.Join(line.words, " "))) // fails when the stream has ended, as Receive will tell
	case "dial": // the stream is there by now
	default:
		_ = c.stream.Send(c.frame(line)) // as above
	}
	return ""
}

// await reads until what the line names has come, and prints that, with whatever else came that a client has to act on.
func (c *client) await(line command) string {
	c.story.t.Helper()
	w := wanted{what: line.word(c.story.t, 0), began: time.Now(), says: line.options["says"]}
	if len(line.words) > 1 {
		w.number = line.number(c.story.t, 1)
	}
	var out strings.Builder
	if said, there := c.known(w); there {
		return said
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case e := <-c.incoming:
			said, found := c.hear(e, w)
			out.WriteString(said)
			if found {
				return out.String()
			}
			if c.over {
				return out.String() + c.says("and no %s", w.what)
			}
		case <-timeout.C:
			return out.String() + c.says("no %s within %v", w.what, patience)
		}
	}
}

// listen reads for a while and prints what a client has to act on.
func (c *client) listen(line command) string {
	d, err := time.ParseDuration(line.word(c.story.t, 0))
	require.NoError(c.story.t, err)
	var out strings.Builder
	over := time.After(d)
	for {
		select {
		case e := <-c.incoming:
			said, _ := c.hear(e, wanted{})
			out.WriteString(said)
		case <-over:
			return out.String() + c.quiet()
		}
	}
}

// quiet prints what has come by the time that nothing moves any more.
func (c *client) quiet() string {
	var out strings.Builder
	for {
		synctest.Wait()
		select {
		case e := <-c.incoming:
			said, _ := c.hear(e, wanted{})
			out.WriteString(said)
			continue
		default:
		}
		out.WriteString(c.acks.news(c))
		if out.Len() == 0 {
			return c.says("nothing")
		}
		return out.String()
	}
}

// wanted is what a line awaits.
type wanted struct {
	what   string // "ack", "recall", ...; empty: nothing
	number uint64 // of an ack: up to where; of a recall: which; of a pong: its nonce
	says   string // of an end: a word that its message has to hold
	began  time.Time
}

// known answers from what has come before: acks are folded, and the answers of recalls may come in any order.
func (c *client) known(w wanted) (said string, there bool) {
	switch {
	case w.what == "ack" && c.acks.committed >= w.number:
		return c.acks.tell(c), true
	case w.what == "recall" && c.recalls[w.number] != nil && c.recalls[w.number].done != nil:
		return c.tellRecall(w.number), true
	}
	return "", false
}

// hear takes one event in. It prints what was wanted, which ends the waiting, and what no client may pass over.
func (c *client) hear(e event, w wanted) (said string, found bool) {
	if c.dropped && e.err == nil {
		return "", false
	}
	if e.err != nil {
		return c.acks.news(c) + c.hearEnd(e.err, w), w.what == "end" || w.what == "broken"
	}
	switch f := e.frame.GetFrame().(type) {
	case *engramv1.MemoryFlowResponse_Welcome:
		return c.hearWelcome(f.Welcome), w.what == "welcome"
	case *engramv1.MemoryFlowResponse_Ack:
		said = c.acks.add(c, f.Ack)
		if w.what == "ack" && c.acks.committed >= w.number {
			return said + c.acks.tell(c), true
		}
		return said, false
	case *engramv1.MemoryFlowResponse_Nack:
		return c.says("nack expected=%d %s%s", f.Nack.GetExpectedSequence(), short(f.Nack.GetReason()), retry(f.Nack.GetRetryAfter())) +
			c.mentions(f.Nack.GetMessage(), w), w.what == "nack"
	case *engramv1.MemoryFlowResponse_Credit:
		if w.what == "credit" && f.Credit.GetSequenceLimit() >= w.number {
			return c.says("credit %s", short(f.Credit.GetState())), true
		}
		return "", false
	case *engramv1.MemoryFlowResponse_Pong:
		if w.what == "pong" && f.Pong.GetNonce() == w.number {
			return c.says("pong %d%s", f.Pong.GetNonce(), w.after()), true
		}
		return "", false
	case *engramv1.MemoryFlowResponse_GoAway:
		return c.acks.news(c) + c.says("goaway %s committed=%d", short(f.GoAway.GetReason()), f.GoAway.GetCommittedThrough()), w.what == "goaway"
	case *engramv1.MemoryFlowResponse_Closed:
		return c.acks.news(c) + c.hearClosed(f.Closed), w.what == "closed"
	}
	return c.hearRecall(e.frame, w)
}

func (c *client) hearWelcome(m *engramv1.Welcome) string {
	c.story.tickets[c.name] = ticket{c.space, m.GetSessionId(), m.GetResumeToken()}
	c.acks = acks{committed: m.GetCommittedThrough()}
	said := fmt.Sprintf("welcome session=%s epoch=%d committed=%d server=%d", c.story.sessionName(m.GetSessionId(), c.name),
		m.GetEpoch(), m.GetCommittedThrough(), c.story.instance(m.GetServerInstance()))
	if m.GetResumed() {
		said += fmt.Sprintf(" resumed held_since=%d", m.GetHeldSince())
	}
	return c.says("%s%s", said, rejections(m.GetRejected()))
}

func (c *client) hearClosed(m *engramv1.Closed) string {
	said := fmt.Sprintf("closed final=%d committed=%d", m.GetFinalSequence(), m.GetCommittedThrough())
	if m.GetSessionEnded() {
		said += " session ended"
	}
	return c.says("%s", said)
}

func (c *client) hearEnd(err error, w wanted) string {
	c.over = true
	switch {
	case c.dropped: // which the client knows; what else it is told depends on who was faster
		return c.says("dropped")
	case w.what == "broken" && !errors.Is(err, io.EOF): // not every transport can say why
		return c.says("broken")
	case errors.Is(err, io.EOF):
		return c.says("ended%s", w.after())
	}
	return c.says("ended %s%s", failure(err), w.after()) + c.mentions(err.Error(), w)
}

func (c *client) mentions(text string, w wanted) string {
	switch {
	case w.says == "":
		return ""
	case strings.Contains(text, w.says):
		return c.says("which says %s", w.says)
	}
	return c.says("which does not say %s: %s", w.says, text)
}

func (c *client) says(format string, args ...any) string {
	return c.name + ": " + fmt.Sprintf(format, args...) + "\n"
}

// after says how long it took, in whole seconds, if it took any.
func (w wanted) after() string {
	if d := time.Since(w.began).Round(time.Second); !w.began.IsZero() && d > 0 {
		return fmt.Sprintf(" after %v", d)
	}
	return ""
}
