package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
	"github.com/engram-stream/engram/proto/gen/engram/v1/engramv1connect"
	"github.com/engram-stream/engram/stages/journal"
)

// careless is a client of one session that follows no rule of sending again: it repeats, skips, overlaps, changes what it
// sends under a number, sends on streams that have been taken over, and leaves in the middle. It remembers what it sent
// and what it was told.
type careless struct {
	hello *engramv1.Hello
	live  []*listened // newest last

	mu        sync.Mutex
	next      uint64              // guarded by mu: the number that the server expects, as far as it has said
	committed uint64              // guarded by mu: the furthest that any stream was told
	sent      map[uint64][]string // guarded by mu: the contents sent under a number before it was known to be committed
	nacks     int                 // guarded by mu: for want of room
	wrong     []string            // guarded by mu: what no server may say
}

// listened is a stream whose frames are read as they come.
type listened struct {
	*flow
	conn  net.Conn // set by the dial, before the first frame comes back
	pongs chan uint64
	ended chan struct{}
}

const carelessSessions = 2

// numbersHistory is one server, its restarts, and the clients of it.
type numbersHistory struct {
	t       *testing.T
	dir     string
	server  *Server
	clients []*careless
	stored  uint64 // accepted or rejected, by the counts of all starts
	offered uint64
	frames  int // sent so far, for contents that differ
	items   uint64
}

// start makes a server whose budget a few large observations fill.
func (h *numbersHistory) start() {
	h.server = startServer(h.t, h.dir, flag("limits.message_bytes", "64KiB"), flag("budget.bytes", "256KiB"))
}

func (h *numbersHistory) stop(t *rapid.T) {
	stop(h.t, h.server)
	tally := h.server.hub.Tally()
	require.Zero(t, tally.InFlight, "each item has one verdict: %+v", tally)
	h.stored += tally.Accepted + tally.Rejected
	h.offered += tally.Offered
	h.leave()
}

func (h *numbersHistory) leave() {
	for _, c := range h.clients {
		c.leave()
	}
}

// dial opens a stream on a connection of its own, which can be cut.
func (h *numbersHistory) dial() *listened {
	l := &listened{pongs: make(chan uint64, 64), ended: make(chan struct{})}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		l.conn = conn
		return conn, err
	}}
	client := engramv1connect.NewFlowServiceClient(&http.Client{Transport: transport}, "http://"+h.server.Address())
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	l.flow = &flow{t: h.t, stream: client.MemoryFlow(ctx), cancel: cancel}
	return l
}

// join opens a stream of a client's session, which takes it over from those that are there.
func (h *numbersHistory) join(t *rapid.T, c *careless) {
	l := h.dial()
	l.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: c.hello}})
	welcome := l.next().GetWelcome()
	require.NotNil(t, welcome)
	c.hello = &engramv1.Hello{Space: "faces", SessionId: welcome.GetSessionId(), ResumeToken: c.hello.GetResumeToken()}
	if len(welcome.GetResumeToken()) > 0 {
		c.hello.ResumeToken = welcome.GetResumeToken()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	require.GreaterOrEqual(t, welcome.GetCommittedThrough(), c.committed, "what was committed stays so")
	c.committed, c.next = welcome.GetCommittedThrough(), welcome.GetCommittedThrough()+1
	c.live = append(c.live, l)
	go c.listen(l)
}

// listen holds what a stream is told to what it was told before.
func (c *careless) listen(l *listened) {
	defer close(l.ended)
	var committed uint64
	for {
		m, err := l.stream.Receive()
		if err != nil {
			return
		}
		c.mu.Lock()
		if a := m.GetAck(); a != nil {
			if a.GetCommittedThrough() < committed || a.GetAcceptedThrough() < a.GetCommittedThrough() {
				c.wrong = append(c.wrong, fmt.Sprintf("after %d came %v", committed, a))
			}
			committed = a.GetCommittedThrough()
			c.committed = max(c.committed, committed)
			c.next = max(c.next, committed+1)
		}
		if n := m.GetNack(); n != nil {
			if n.GetExpectedSequence() <= committed {
				c.wrong = append(c.wrong, fmt.Sprintf("after %d came %v", committed, n))
			}
			if n.GetReason() == engramv1.Nack_REASON_RESOURCE_EXHAUSTED {
				c.nacks++
			}
			c.next = n.GetExpectedSequence()
		}
		c.mu.Unlock()
		if p := m.GetPong(); p.GetNonce() != 0 {
			l.pongs <- p.GetNonce()
		}
	}
}

// leave cuts every connection.
func (c *careless) leave() {
	for _, l := range c.live {
		_ = l.conn.Close()
		<-l.ended
		l.cancel()
	}
	c.live = nil
}

// send sends observations of a size from a number on, on a stream that may be over.
func (h *numbersHistory) send(c *careless, l *listened, first uint64, count, size int) {
	batch := make([]*engramv1.Observation, count)
	h.frames++
	c.mu.Lock()
	for i := range batch {
		number := first + uint64(i)
		content := fmt.Sprintf("%d in frame %d of %s", number, h.frames, c.hello.GetSessionId())
		if number > c.committed {
			c.sent[number] = append(c.sent[number], content)
		}
		vector := []float32{1, float32(number)}
		if h.frames%5 == 0 && i == 0 && number > 1 {
			vector = vector[:1] // is rejected, for the first decided the dimension
		}
		batch[i] = seen(content+strings.Repeat(" ", size), vector...)
		c.next = max(c.next, number+1)
	}
	c.mu.Unlock()
	h.items += uint64(count)
	_ = l.stream.Send(observeFrame(first, batch...)) // of a stream that is over it fails
}

func (h *numbersHistory) step(t *rapid.T) {
	c := rapid.SampledFrom(h.clients).Draw(t, "client")
	if len(c.live) == 0 {
		h.join(t, c)
	}
	l := c.live[len(c.live)-1]
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	switch action := rapid.SampledFrom([]string{"on", "on", "anywhere", "anywhere", "late", "burst", "take over", "cut", "leave", "wait", "restart"}).Draw(t, "action"); action {
	case "on":
		h.send(c, l, next, rapid.IntRange(1, 9).Draw(t, "count"), 0)
	case "anywhere":
		first := max(1, int(next)+rapid.IntRange(-6, 2).Draw(t, "from expected"))
		h.send(c, l, uint64(first), rapid.IntRange(1, 9).Draw(t, "count"), 0)
	case "late":
		h.send(c, rapid.SampledFrom(c.live).Draw(t, "stream"), next, 3, 0)
	case "burst":
		for i := range uint64(48) {
			h.send(c, l, next+i, 1, 48<<10)
		}
	case "take over":
		h.join(t, c)
	case "cut":
		c.leave()
	case "leave":
		_ = l.stream.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Goodbye{Goodbye: &engramv1.Goodbye{}}})
		<-l.ended
		c.leave()
	case "wait":
		_ = l.stream.Send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Ping{Ping: &engramv1.Ping{Nonce: 7}}})
		select {
		case <-l.pongs:
		case <-l.ended:
		}
	case "restart":
		if rapid.IntRange(0, 7).Draw(t, "under streams") > 0 { // the stop waits a second for connections that are open
			h.leave()
		}
		h.stop(t)
		h.start()
	}
}

// check reads the journal of the stopped server: the numbers of each session are there once, in order and without a
// hole, and hold what was sent under them.
func (h *numbersHistory) check(t *rapid.T, committed []uint64, rejected []map[uint64]bool) {
	store, _, err := journal.Open(journal.Options{FS: vfs.Default, Dir: filepath.Join(h.dir, "journal")})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	next, refused, all, bad := make([]uint64, len(h.clients)), 0, uint64(0), 0
	over := func(i int) uint64 { // the next number of a session, those passed that were rejected
		next[i]++
		for rejected[i][next[i]] {
			next[i]++
		}
		return next[i]
	}
	require.NoError(t, store.ReplayOps(context.Background(), func(_ memory.Space, _ memory.Version, _ memory.Ordinal, op memory.Op) error {
		all++
		if op.Kind == memory.OpRejected {
			bad++
			return nil
		}
		for i, c := range h.clients {
			if op.Observe.ID == fmt.Sprintf("%s-%d", c.hello.GetSessionId(), op.Sequence) {
				require.Equal(t, over(i), op.Sequence)
				require.Contains(t, c.sent[op.Sequence], strings.TrimRight(op.Observe.Content, " "))
				return nil
			}
		}
		return fmt.Errorf("op %+v is of no session", op)
	}))
	for i, c := range h.clients {
		require.Equal(t, committed[i]+1, over(i), "session %d", i)
		refused += len(rejected[i])
		require.Empty(t, c.wrong)
	}
	require.Equal(t, refused, bad, "rejections")
	require.Equal(t, h.stored, all, "what was said to be stored, over all starts, and what is")
	require.LessOrEqual(t, h.offered, h.items)
}

// end lets the clients ask a last time what became of what they sent, and stops the server.
func (h *numbersHistory) end(t *rapid.T) {
	h.leave()
	h.stop(t) // all has its verdict
	h.start()
	committed, rejected := make([]uint64, len(h.clients)), make([]map[uint64]bool, len(h.clients))
	for i, c := range h.clients {
		l := h.dial()
		l.send(&engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: c.hello}})
		welcome := l.next().GetWelcome()
		require.NotNil(t, welcome)
		committed[i], rejected[i] = welcome.GetCommittedThrough(), map[uint64]bool{}
		require.GreaterOrEqual(t, committed[i], c.committed)
		for _, r := range welcome.GetRejected() {
			for n := r.GetRange().GetFirst(); n <= r.GetRange().GetLast(); n++ {
				rejected[i][n] = true
			}
		}
		_ = l.conn.Close()
		l.cancel()
	}
	h.stop(t)
	h.check(t, committed, rejected)
}

// TestNumbersAreContiguousWhateverClientsDo sends through the whole server: duplicates, gaps, overlaps, late frames of
// streams taken over, bursts that the budget has no room for, lost streams and restarts.
func TestNumbersAreContiguousWhateverClientsDo(t *testing.T) {
	nacks := 0
	rapid.Check(t, func(rt *rapid.T) {
		h := &numbersHistory{t: t, dir: t.TempDir()}
		h.start()
		for range carelessSessions {
			c := &careless{hello: faces(), sent: map[uint64][]string{}, next: 1}
			h.clients = append(h.clients, c)
			h.join(rt, c)
			h.send(c, c.live[0], 1, 1, 0)
		}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			h.step(rt)
		}
		h.end(rt)
		for _, c := range h.clients {
			nacks += c.nacks
		}
	})
	t.Logf("%d nacks for want of room", nacks)
}
