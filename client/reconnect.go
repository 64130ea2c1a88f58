package client

import (
	"context"
	"fmt"
	"time"
)

// run serves the session's streams, one after another, until it ends.
func (s *Session) run(st *stream) {
	defer close(s.over)
	var pause backoff
	good := time.Now()
	for st != nil {
		began, committed := time.Now(), s.Committed()
		failure := s.serve(st)
		// A stream that brought something, or lived for a while, was a good one. After others the pauses grow, and in
		// the end the session gives up.
		if s.Committed() > committed || time.Since(began) > reconnectMax {
			pause.reset()
			good = time.Now()
		}
		if failure != nil {
			st, failure = s.reattach(st, failure, &pause, good)
		} else {
			st = nil
		}
		if st == nil {
			s.finish(failure)
		}
	}
}

// reattach brings the session a new stream after the old one was lost for why. Without one the session is over: failed
// with the error, if the server refuses for good, it was tried for too long, or the session was aborted; in order, if
// there was nothing left to do.
func (s *Session) reattach(old *stream, why *Error, pause *backoff, good time.Time) (*stream, *Error) {
	after := s.detach(old)
	for {
		switch patience := s.patience(); {
		case s.ctx.Err() != nil:
			return nil, s.client.describe("session", context.Cause(s.ctx))
		case s.finished(why):
			return nil, nil
		case final(why):
			return nil, why
		case time.Since(good) > patience:
			return nil, why.because(fmt.Sprintf("gave up reconnecting after %v: %s", patience, why.Message))
		}
		delay := max(pause.next(), after, why.RetryAfter)
		s.lose(why, delay)
		s.sleep(delay, why)
		if s.ctx.Err() != nil || s.finished(why) {
			continue
		}
		st, err := s.attach(s.ctx)
		if err == nil {
			s.tell()
			return st, nil
		}
		why, after = err, 0
	}
}

// detach notes that the stream is gone and returns how long the server asked to stay away.
func (s *Session) detach(st *stream) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send.detach()
	s.recalls.detach()
	if s.ending != nil {
		s.ending.said = false
	}
	return st.goAway.GetReconnectAfter().AsDuration()
}

// lose notes why there is no stream, for who waits to be told.
func (s *Session) lose(why *Error, delay time.Duration) {
	s.mu.Lock()
	s.lost = why
	s.note(Event{Kind: EventDisconnected, Err: why, After: delay})
	s.mu.Unlock()
	s.tell()
}

// patience is how long reconnecting is tried.
func (s *Session) patience() time.Duration {
	if s.options.ReconnectFor > 0 {
		return s.options.ReconnectFor
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits.detachTTL
}

// finished reports whether an orderly end needs no further stream: everything is settled, and the server keeps the
// session, as it should, or has ended it already.
func (s *Session) finished(why *Error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.ending
	if e == nil || len(s.send.items) > 0 || !s.recalls.idle() {
		return false
	}
	return !e.endSession || e.tried && why.Is(ErrSessionExpired)
}

// sleep waits for the delay, or until the session is aborted or finished.
func (s *Session) sleep(delay time.Duration, why *Error) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for !s.finished(why) {
		select {
		case <-timer.C:
			return
		case <-s.ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// finish ends the session: with nil in order, otherwise failing everything that waits.
func (s *Session) finish(failure *Error) {
	s.mu.Lock()
	if failure != nil {
		s.fail(failure)
	}
	s.change()
	s.mu.Unlock()
	s.tell()
	s.abort(context.Canceled)
}

// fail tells everybody; mu is held.
func (s *Session) fail(failure *Error) {
	if n := len(s.send.items); n > 0 {
		failure = failure.because(fmt.Sprintf("%s (%d not committed)", failure.Message, n))
	}
	s.err = failure
	for i := range s.send.items {
		s.send.items[i].pending.decide(failure)
	}
	s.recalls.fail(failure)
	s.note(Event{Kind: EventFailed, Err: failure})
}
