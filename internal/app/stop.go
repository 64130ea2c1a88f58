package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/engram-stream/engram/internal/fault"
)

const (
	// stopTimeout bounds a stop whose caller sets no deadline.
	stopTimeout = 10 * time.Second
	// drainShare of the time is the graph's; the rest is for writing the last acks and closing connections.
	drainShare = 0.7
	// closeTimeout is how long connections may take to close once no call is left.
	closeTimeout = time.Second
)

// Stop ends the server in order, within ctx's deadline or stopTimeout. What could not be brought to its end is logged
// and returned; the server has stopped either way. Stopping one that does not run does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	r := s.running
	s.running = nil
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	ctx, cancel := withStopDeadline(ctx)
	defer cancel()
	s.state.set(draining)
	s.hub.GoAway()
	err := s.drain(ctx)
	if left := s.hub.Leave(ctx); left > 0 {
		s.log.Warn("streams were cut that did not end in time", "streams", left)
	}
	r.close(ctx, s.log)
	s.release()
	s.log.Info("stopped")
	return err
}

func (s *Server) drain(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(drainShare*float64(time.Until(deadline))))
	defer cancel()
	residue, err := s.engine.Drain(ctx)
	if residue.Items() > 0 {
		s.log.Error("the drain left items behind; none of them was acked", "left", residue.String())
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the pipeline did not drain cleanly").WithOp("stop")
	}
	return nil
}

func withStopDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, stopTimeout)
}

// close releases what has been acquired, in reverse order. A start that failed has acquired only some of it.
func (r *running) close(ctx context.Context, log *slog.Logger) {
	if r.http != nil {
		r.release()
		ctx, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		if err := r.http.Shutdown(ctx); err != nil {
			_ = r.http.Close()
		}
		r.serving.Wait()
	} else if r.listener != nil {
		_ = r.listener.Close()
	}
	if r.unwatchStages != nil {
		r.unwatchStages()
	}
	if r.unwatch != nil {
		if err := r.unwatch(); err != nil {
			log.Warn("metrics still report the stopped graph", "error", err)
		}
	}
	if r.exports != nil {
		r.exports.Stop(ctx)
	}
	if r.lock != nil {
		if err := r.lock.release(); err != nil && !errors.Is(err, context.Canceled) {
			log.Warn("the data folder could not be unlocked", "error", err)
		}
	}
}
