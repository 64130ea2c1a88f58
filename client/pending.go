package client

import (
	"context"
	"fmt"
)

// Pending is an observation or a forget on its way. It may be ignored: Session.Flush waits for all of them.
type Pending struct {
	session  *Session
	sequence uint64
	id       string

	// Guarded by session.mu.
	decided bool
	err     error
	done    chan struct{} // made when someone waits
	round   uint64        // of the refusals that count it, if it was rejected; 0 once told
}

// Sequence returns its number in the session, from 1 without gaps.
func (p *Pending) Sequence() uint64 { return p.sequence }

// MemoryID returns the id of the memory that it makes: Observation.ID, or the one that the server derives. It is empty
// for a forget.
func (p *Pending) MemoryID() string { return p.id }

// Wait returns nil once it is committed: durable, and found by recall. It returns a *RejectedError if the server refused
// it for good, the session's failure if that comes first, or an error that wraps ctx's. In the last two cases the server
// may or may not have it.
func (p *Pending) Wait(ctx context.Context) error {
	select {
	case <-p.Done():
	case <-ctx.Done():
		return waitError(ctx, "wait", fmt.Sprintf("number %d is not committed yet", p.sequence))
	}
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	p.session.refused.told(p)
	return p.err
}

// Done is closed when Wait would return at once.
func (p *Pending) Done() <-chan struct{} {
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	if p.done == nil {
		p.done = make(chan struct{})
		if p.decided {
			close(p.done)
		}
	}
	return p.done
}

// decide settles it; the session's lock is held.
func (p *Pending) decide(err error) {
	p.decided, p.err = true, err
	if p.done != nil {
		close(p.done)
	}
}
