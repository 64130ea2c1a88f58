package transports

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/session"
)

// Hub knows what is attached, over all transports of a process: which stream serves which session, how many streams
// there are, and what became of every item received. Safe for concurrent use.
type Hub struct {
	instance string // names this start of the server; immutable
	total    session.Counters
	calls    atomic.Int64 // unary calls at work, those of operators not counted
	admin    atomic.Int64 // and those
	texts    atomic.Int64 // recalls whose text is being embedded
	answers  atomic.Int64 // bytes that answers hold; see hold

	mu      sync.Mutex
	live    map[string]*stream    // guarded by mu: the stream that serves a session, by session id
	streams map[*stream]struct{}  // guarded by mu: every stream past its Hello, fenced ones included
	watches map[*watcher]struct{} // guarded by mu
	open    int                   // guarded by mu: streams from their first byte on
	leaving bool                  // guarded by mu: no new streams
	empty   chan struct{}         // guarded by mu: closed when open reaches 0 while leaving; nil before

	tallyMu sync.Mutex
	tallies map[string]*session.Counters // guarded by tallyMu: by space
}

// NewHub returns a hub with nothing attached.
func NewHub() *Hub {
	return &Hub{
		instance: randomID("i"),
		live:     map[string]*stream{}, streams: map[*stream]struct{}{}, watches: map[*watcher]struct{}{},
		tallies: map[string]*session.Counters{},
	}
}

// Instance names this start of the server, as each Welcome tells it.
func (h *Hub) Instance() string { return h.instance }

// Tally returns what became of everything received since the start.
func (h *Hub) Tally() session.Tally { return h.total.Tally() }

// SettledTally is Tally once what was received by now has its verdicts, or after statsPatience: what GetStats answers.
func (h *Hub) SettledTally(ctx context.Context) session.Tally { return settledTally(ctx, h.Tally) }

// Load is what clients make a process hold, now.
type Load struct {
	Streams     int   // open
	Calls       int   // unary, at work, those of operators not counted
	AnswerBytes int64 // held by answers that are not taken yet
}

// Load reads it.
func (h *Hub) Load() Load {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Load{Streams: h.open, Calls: int(h.calls.Load()), AnswerBytes: h.answers.Load()}
}

// SpaceTally is Tally for one space.
func (h *Hub) SpaceTally(space string) session.Tally {
	h.tallyMu.Lock()
	counters := h.tallies[space]
	h.tallyMu.Unlock()
	if counters == nil {
		return session.Tally{}
	}
	return counters.Tally()
}

// Attached counts the live streams of a space.
func (h *Hub) Attached(space string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, st := range h.live {
		if st.att.Space == space {
			n++
		}
	}
	return n
}

// GoAway begins the end: new streams are refused, and those there are told to reconnect later. They are still served.
func (h *Hub) GoAway() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaving = true
	for st := range h.streams {
		st.att.Outbox.GoAway(session.GoAwayShutdown, shutdownReconnect)
	}
}

// Leave ends the streams that are left: each writes what it still owes its client, and closes. It returns when all
// have ended or ctx is done, with how many have not.
func (h *Hub) Leave(ctx context.Context) int {
	h.mu.Lock()
	h.leaving = true
	for st := range h.streams {
		st.leave(errShutdown())
	}
	for w := range h.watches {
		w.leave(errStopped())
	}
	empty := make(chan struct{})
	if h.open == 0 {
		close(empty)
	} else {
		h.empty = empty
	}
	h.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// enter counts a stream in, before its Hello; the caller calls exit when it has ended.
func (h *Hub) enter(limit int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.countIn(limit)
}

// countIn is called with mu held.
func (h *Hub) countIn(limit int) error {
	if h.leaving {
		return errShutdown()
	}
	if h.open >= limit {
		return fault.New(fault.ResourceExhausted, "%d streams are open, as many as limits.streams allows", h.open).
			WithReason("TOO_MANY_STREAMS").WithRetryAfter(shutdownReconnect).WithHint("share one stream among your writers")
	}
	h.open++
	return nil
}

// enterWatch is enter for a watch, which the end of the server ends.
func (h *Hub) enterWatch(w *watcher, limit int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.countIn(limit); err != nil {
		return err
	}
	h.watches[w] = struct{}{}
	return nil
}

func (h *Hub) exitWatch(w *watcher) {
	h.mu.Lock()
	delete(h.watches, w)
	h.mu.Unlock()
	h.exit()
}

func (h *Hub) exit() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	if h.open == 0 && h.empty != nil {
		close(h.empty)
		h.empty = nil
	}
}

// attach makes st the stream that serves its session. Whichever of two has the lower epoch is fenced, since its
// epoch is over in the journal, in whatever order they arrive here.
func (h *Hub) attach(st *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams[st] = struct{}{}
	if h.leaving {
		st.leave(errShutdown())
	}
	older := h.live[st.att.SessionID]
	if older != nil && older.att.Epoch > st.att.Epoch {
		st.fence()
		return
	}
	h.live[st.att.SessionID] = st
	if older != nil {
		older.fence()
	}
}

// detach forgets st and reports whether it was still the one that served its session.
func (h *Hub) detach(st *stream) (served bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, st)
	if h.live[st.att.SessionID] != st {
		return false
	}
	delete(h.live, st.att.SessionID)
	return true
}

// end ends the stream that serves a session, for the session is over; why is what its client is told.
func (h *Hub) end(sessionID string, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if st := h.live[sessionID]; st != nil {
		st.end(why)
	}
}

// attached counts live sessions, for the shares of the budget.
func (h *Hub) attached() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.live)
}

// tally returns the counters of a space, or nil when too many spaces have some.
func (h *Hub) tally(space string) *session.Counters {
	h.tallyMu.Lock()
	defer h.tallyMu.Unlock()
	counters := h.tallies[space]
	if counters == nil && len(h.tallies) < maxTalliedSpaces {
		counters = &session.Counters{}
		h.tallies[space] = counters
	}
	return counters
}

// forget lets go of the counters of a space that is no more. What is still counted there shows in the totals only.
func (h *Hub) forget(space string) {
	h.tallyMu.Lock()
	defer h.tallyMu.Unlock()
	delete(h.tallies, space)
}

// counts takes the numbers of one stream or call, into the totals and into those of its space.
type counts struct {
	total, space *session.Counters // space may be nil
}

func (h *Hub) counts(space string) counts { return counts{total: &h.total, space: h.tally(space)} }

func (c counts) receive(n int) {
	c.total.Receive(n)
	if c.space != nil {
		c.space.Receive(n)
	}
}

func (c counts) give(v session.Verdict) {
	c.total.Give(v)
	if c.space != nil {
		c.space.Give(v)
	}
}

func errShutdown() *fault.Error {
	return fault.New(fault.Unavailable, "the server is shutting down").WithReason("SHUTDOWN").
		WithRetryAfter(shutdownReconnect).WithHint("reconnect and resume the session; what was acked is safe")
}

// randomID returns 128 random bits in the alphabet of session ids, behind a prefix that tells what it names.
func randomID(prefix string) string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails, by its documentation
	return prefix + encodeID(raw[:])
}

func encodeID(raw []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}
