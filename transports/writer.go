package transports

import (
	"fmt"
	"time"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// write is the stream's only writer after the Welcome: control frames first, then hits, a heartbeat when it was quiet,
// and at the end what is owed and the last frame.
func (st *stream) write() {
	defer st.written()
	if err := st.writeAll(); err != nil {
		st.fail(fault.Wrap(fault.Unavailable, err, "the stream cannot be written"))
	}
}

func (st *stream) writeAll() error {
	quiet := time.NewTimer(heartbeatInterval)
	defer quiet.Stop()
	pressure := time.NewTicker(pressureInterval)
	pressure.Stop() // runs only while the client is told to hold back
	defer pressure.Stop()
	watching := false
	for {
		sent, err := st.flush()
		if err != nil {
			return err
		}
		if sent {
			quiet.Reset(heartbeatInterval)
		}
		if pressed := st.credit.pressed(); pressed != watching {
			watching = pressed
			watch(pressure, pressed)
		}
		select {
		case <-st.att.Outbox.Ready():
		case <-st.hits.ready:
		case <-quiet.C:
			st.heartbeat()
			quiet.Reset(heartbeatInterval)
		case <-pressure.C:
			st.credit.after(0)
		case last := <-st.last:
			return st.finish(last)
		case <-st.ctx.Done():
			return nil
		}
	}
}

func watch(t *time.Ticker, on bool) {
	if on {
		t.Reset(pressureInterval)
		return
	}
	t.Stop()
}

// flush writes everything queued and reports whether there was anything.
func (st *stream) flush() (sent bool, err error) {
	acked := false
	for {
		frame := st.nextFrame()
		if frame == nil && acked {
			// An ack may lift the window past a step back, over all of the credit: the reader, which grants as credit is
			// used, saw it below.
			acked = false
			st.credit.after(0)
			continue
		}
		if frame == nil {
			return sent, nil
		}
		if err := st.send(frame); err != nil {
			return sent, err
		}
		sent, acked = true, acked || frame.GetAck() != nil
		if frame.GetGoAway().GetReason() == engramv1.GoAway_REASON_REBALANCE {
			st.leave(errOverflow())
		}
	}
}

func (st *stream) nextFrame() *engramv1.MemoryFlowResponse {
	if control, ok := st.att.Outbox.Next(); ok {
		return controlToWire(control)
	}
	frame, _ := st.hits.pop()
	return frame
}

// heartbeat says that the stream is alive, and again what a client that went silent may have missed.
func (st *stream) heartbeat() {
	if expected, waiting := st.att.Window.Waiting(); waiting {
		st.att.Nack(session.Nack{
			Expected: expected, Reason: session.NackSequenceGap,
			Message: fmt.Sprintf("still waiting for number %d", expected),
		})
	}
	st.att.Outbox.Pong(0)
}

func (st *stream) finish(last *engramv1.MemoryFlowResponse) error {
	if _, err := st.flush(); err != nil || last == nil {
		return err
	}
	return st.send(last)
}

// send writes one frame. A client that takes none for writeTimeout loses its stream, not its session.
func (st *stream) send(frame *engramv1.MemoryFlowResponse) error {
	stuck := time.AfterFunc(writeTimeout, st.cut)
	defer stuck.Stop()
	return st.conn.Send(frame)
}

// errOverflow ends a stream whose outbox could not hold all that was rejected.
func errOverflow() error {
	return fault.New(fault.Unavailable, "more was rejected than the client has read").WithReason("UNREAD").
		WithHint("resume the session: Welcome tells what was rejected")
}

func (st *stream) cut() {
	st.leave(fault.New(fault.Unavailable, "the client has read nothing for %v", writeTimeout).WithReason("UNREAD").
		WithHint("read from the stream while sending; the session can be resumed"))
	st.conn.Abort()
}
