package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/sourcegraph/conc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

const maxForgetIDs = 10_000

// Session is an ordered, resumable stream of observations into one space, with recalls on the same connection.
//
// Each observation and forget takes the next sequence number and stays in the session's bounded buffer until the server
// has committed it. A lost connection, or a restarted server, is reconnected to in the background and everything not
// committed is sent again; the numbers make sure that each is applied once, and in order. Recalls under way when a
// connection is lost are asked again.
//
// A session ends with Close or Detach. It fails, with everything not committed, when the server refuses it for good:
// see Err. Safe for concurrent use.
type Session struct {
	space   string
	options SessionOptions
	client  *Client
	dial    func(context.Context) wire
	ctx     context.Context //nolint:containedctx // the life of all streams; cancelled to abort
	abort   context.CancelCauseFunc
	wake    chan struct{} // cap 1: the writer has something new to decide
	over    chan struct{} // closed when the session has ended
	runner  conc.WaitGroup

	mu      sync.Mutex
	send    sender        // guarded by mu, like all below
	recalls recalls       //
	ticket  Ticket        // its Committed is not kept up; see Ticket
	writer  string        // names this program to the server, in each Hello
	since   uint64        // the epoch of the first stream; 0: there was none yet
	limits  sessionLimits // of the newest stream
	ending  *ending       // set by Close and Detach
	err     error         // why the session failed
	lost    error         // why there is no stream now; nil while there is one
	changed chan struct{} // made by who waits, closed at the next change
	refused refusals      //
	events  []Event       // not told yet

	telling sync.Mutex // held while OnEvent runs; taken before mu
}

// ending is an orderly end under way.
type ending struct {
	endSession bool
	said       bool // Goodbye was sent on the present stream
	tried      bool // Goodbye was sent on some stream
}

// Open opens a session into a space, or resumes the one of options.Resume, and returns once the server has agreed. ctx
// bounds the opening only.
//
// To resume without what the earlier program had in its buffer, go on after Session.Committed: everything up to there is
// stored. The error wraps ErrSessionExpired if the session is gone, and ErrServerBehind if the server has lost something
// that it had acknowledged.
func (c *Client) Open(ctx context.Context, space string, options SessionOptions) (*Session, error) {
	dial := func(ctx context.Context) wire { return c.flow.MemoryFlow(ctx) }
	return c.open(ctx, space, options, dial)
}

func (c *Client) open(ctx context.Context, space string, options SessionOptions, dial func(context.Context) wire) (*Session, error) {
	o := options.withDefaults()
	s := &Session{
		space: space, options: o, client: c, dial: dial, writer: rand.Text(),
		wake: make(chan struct{}, 1), over: make(chan struct{}),
		refused: newRefusals(),
		send:    sender{bufferItems: o.BufferItems, bufferBytes: o.BufferBytes, maxBatch: o.MaxBatch, linger: o.Linger},
	}
	if o.Resume != nil {
		s.ticket = *o.Resume
		s.send.begin(o.Resume.Committed)
	}
	// The streams live longer than this call, and keep its values (a trace, say) but not its deadline.
	s.ctx, s.abort = context.WithCancelCause(context.WithoutCancel(ctx))
	st, err := s.attach(ctx)
	if err != nil {
		s.abort(err)
		err.Op = "open session"
		return nil, err
	}
	s.tell()
	s.runner.Go(func() { s.run(st) })
	return s, nil
}

// Observe takes an observation into the session's buffer, waiting while that is full, and returns its number; Wait or
// Flush tell when it is committed. A single goroutine's observations keep their order. The error is an InvalidArgument
// *Error for what can never be sent, the session's failure, or wraps ctx's.
func (s *Session) Observe(ctx context.Context, o Observation) (*Pending, error) {
	w, err := o.encode()
	if err != nil {
		return nil, err
	}
	return s.enqueue(ctx, "observe", item{observe: w, bytes: proto.Size(w)})
}

// Forget removes memories by id, in its place of the session's order: it removes what was observed before it, and what
// is observed after it stays. It takes a number and a place in the buffer like an observation, and 1 to 10,000 ids.
func (s *Session) Forget(ctx context.Context, ids ...string) (*Pending, error) {
	if len(ids) == 0 || len(ids) > maxForgetIDs {
		return nil, invalid("ids", "%d ids: between 1 and %d can be forgotten at once", len(ids), maxForgetIDs)
	}
	for i, id := range ids {
		if err := checkText(fmt.Sprintf("ids[%d]", i), id); err != nil {
			return nil, err
		}
	}
	return s.forget(ctx, &engramv1.ForgetTarget{MemoryIds: append([]string(nil), ids...)})
}

// ForgetBefore is Forget by age: it removes what happened before a time, which is its ObservedAt, or where that was not
// given the time at which the server received it.
func (s *Session) ForgetBefore(ctx context.Context, t time.Time) (*Pending, error) {
	before := timestamppb.New(t)
	if t.IsZero() || !before.IsValid() {
		return nil, invalid("t", "%v: a time from year 1 to 9999 is needed", t)
	}
	return s.forget(ctx, &engramv1.ForgetTarget{ObservedBefore: before})
}

func (s *Session) forget(ctx context.Context, target *engramv1.ForgetTarget) (*Pending, error) {
	return s.enqueue(ctx, "forget", item{forget: target, bytes: proto.Size(target)})
}

func (s *Session) enqueue(ctx context.Context, op string, it item) (*Pending, error) {
	if ctx.Err() != nil {
		return nil, waitError(ctx, op, "not taken")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.usable(); err != nil {
			return nil, err
		}
		if it.bytes > s.send.largest() {
			return nil, invalid(it.field(), "%d bytes are more than the %d that the server takes in one message", it.bytes, s.send.largest())
		}
		if s.send.room(it.bytes) {
			break
		}
		if err := s.waitChange(ctx, op, s.full); err != nil {
			return nil, err
		}
	}
	p := &Pending{session: s}
	it.pending, it.queued = p, time.Now()
	number, wake := s.send.push(it)
	p.sequence = number
	if it.observe != nil {
		p.id = s.memoryID(number, it.observe.GetMemoryId())
	}
	if wake {
		s.poke()
	}
	return p, nil
}

func (s *Session) memoryID(number uint64, given string) string {
	if given != "" {
		return given
	}
	return s.ticket.SessionID + "-" + strconv.FormatUint(number, 10)
}

// Flush sends what is buffered without lingering and returns once everything taken so far is committed or rejected. If
// anything was rejected that no Pending.Wait and no earlier Flush has told, it returns one such *RejectedError, which
// counts the others. Otherwise its error is the session's failure, or wraps ctx's.
func (s *Session) Flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send.flush()
	s.poke()
	for target := s.send.last(); s.send.committed < target; {
		if s.err != nil {
			return s.err
		}
		left := func() string { return fmt.Sprintf("%d not committed yet%s", target-s.send.committed, s.why()) }
		if err := s.waitChange(ctx, "flush", left); err != nil {
			return err
		}
	}
	return s.refused.take()
}

// Recall returns the memories nearest to the query, as Client.Recall does, on the session's stream. It sees everything
// that was committed before it; what is still in the buffer it may or may not see. If the connection is lost meanwhile it
// is asked again.
func (s *Session) Recall(ctx context.Context, q Query) (*Recall, error) {
	query, err := q.encode()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	call := s.recalls.add(query)
	s.mu.Unlock()
	s.poke()
	select {
	case <-call.done:
	case <-ctx.Done():
		s.mu.Lock()
		s.recalls.drop(call)
		message := "no answer yet" + s.why()
		s.mu.Unlock()
		s.poke()
		return nil, waitError(ctx, "recall", message)
	}
	if call.err != nil {
		return nil, call.err
	}
	return &call.answer, nil
}

// Committed returns the highest sequence number up to which everything is committed, or rejected for good.
func (s *Session) Committed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send.committed
}

// Ticket returns what another program, or this one after a restart, needs to resume the session. It may be taken at any
// time; only one program can hold the session at once, and the newest wins.
func (s *Session) Ticket() Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ticket
	t.Committed = s.send.committed
	return t
}

// Stats returns the session's counts.
func (s *Session) Stats() SessionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.send.stats
	stats.Buffered = uint64(len(s.send.items))
	return stats
}

// Done is closed when the session has ended, by Close, Detach or a failure.
func (s *Session) Done() <-chan struct{} { return s.over }

// Err returns why the session failed; nil while it has not. It matches ErrFenced when another program took the session
// over, ErrSessionExpired when the server no longer knows it, ErrServerBehind when the server has lost data.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close waits until everything is committed or rejected, ends the session for good, and returns its final sequence
// number. If ctx ends first, or the session had failed, the error says how much was left; the server then keeps the
// session, for its Ticket. Like Flush, Close tells rejections that nobody was told. The session is over in any case, and
// nothing keeps running.
func (s *Session) Close(ctx context.Context) (uint64, error) {
	err := s.end(ctx, true)
	return s.Committed(), err
}

// Detach is Close for a session to be resumed later: the server keeps it, as long as SessionOptions.DetachTTL says. It
// returns the ticket, which is good even if there was an error.
func (s *Session) Detach(ctx context.Context) (Ticket, error) {
	err := s.end(ctx, false)
	return s.Ticket(), err
}

func (s *Session) end(ctx context.Context, endSession bool) error {
	s.mu.Lock()
	if s.ending == nil {
		s.ending = &ending{endSession: endSession}
		s.send.flush()
	}
	s.mu.Unlock()
	s.poke()
	select {
	case <-s.over:
	case <-ctx.Done():
		s.mu.Lock()
		err := waitError(ctx, "close session", fmt.Sprintf("%d not committed yet%s", len(s.send.items), s.why()))
		s.mu.Unlock()
		s.abort(err)
	}
	s.runner.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.refused.take()
}

// usable returns why the session takes nothing more; mu is held.
func (s *Session) usable() error {
	if s.err != nil {
		return s.err
	}
	if s.ending != nil {
		return &Error{Op: "session", Code: connect.CodeFailedPrecondition, Reason: reasons[ErrClosed], Message: ErrClosed.Error()}
	}
	return nil
}

// full and why say, for messages, what a caller waits for; mu is held.
func (s *Session) full() string {
	return fmt.Sprintf("the buffer is full: %d observations with %d bytes are not committed%s", len(s.send.items), s.send.buffered(), s.why())
}

func (s *Session) why() string {
	if s.lost == nil {
		return ""
	}
	return "; no connection: " + s.lost.Error()
}

// waitChange gives up mu until something changes or ctx ends.
func (s *Session) waitChange(ctx context.Context, op string, message func() string) error {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()
	var ended bool
	select {
	case <-changed:
	case <-ctx.Done():
		ended = true
	}
	s.mu.Lock()
	if ended {
		return waitError(ctx, op, message())
	}
	return nil
}

// change wakes who waits; mu is held.
func (s *Session) change() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// poke makes the writer look again.
func (s *Session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// note keeps an event until tell; mu is held.
func (s *Session) note(e Event) {
	if s.options.OnEvent != nil {
		s.events = append(s.events, e)
	}
}

// tell hands the noted events to OnEvent, in order. Called without mu by the session's own goroutines.
func (s *Session) tell() {
	if s.options.OnEvent == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	events := s.events
	s.events = nil
	s.mu.Unlock()
	for _, e := range events {
		s.options.OnEvent(e)
	}
}

// decide tells an item's caller what became of it; mu is held.
func (s *Session) decide(it *item, refused *RejectedError) {
	if refused == nil {
		it.pending.decide(nil)
		return
	}
	it.pending.decide(refused)
	it.pending.round = s.refused.round
	s.refuse(refused)
}

func (s *Session) refuse(e *RejectedError) {
	s.note(Event{Kind: EventRejected, Sequence: e.First, Err: e})
	s.refused.add(e)
}

// waitError is the error of a call whose context ended.
func waitError(ctx context.Context, op, message string) *Error {
	code := connect.CodeCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = connect.CodeDeadlineExceeded
	}
	return &Error{Op: op, Code: code, Message: message + ": " + context.Cause(ctx).Error(), cause: ctx.Err()}
}
