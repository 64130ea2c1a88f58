package transports

import (
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/session"
)

// The bounds of a stream's credit window, in items.
const (
	firstWindow = 256 // at the start; doubled each time half of it has been used
	leastWindow = 16  // always granted, so that no session starves
)

// creditor decides how far one client may send: what the session has accepted and a window ahead, which grows with
// use up to the session's share of the free budget. Grants are absolute and only grow. Used by the reader alone.
type creditor struct {
	budget *graph.Budget
	hub    *Hub
	window uint64
	limit  uint64 // the highest number granted
}

func newCreditor(budget *graph.Budget, hub *Hub, accepted uint64) *creditor {
	c := &creditor{budget: budget, hub: hub, window: firstWindow}
	c.grant(accepted)
	return c
}

// first is the credit of a Welcome.
func (c *creditor) first() *session.Credit { return c.credit() }

// next returns a further grant once half of the window has been used.
func (c *creditor) next(accepted uint64) (session.Credit, bool) {
	if c.limit > accepted+c.window/2 {
		return session.Credit{}, false
	}
	c.window *= 2
	before := c.limit
	c.grant(accepted)
	return *c.credit(), c.limit > before
}

func (c *creditor) grant(accepted uint64) {
	free := c.budget.Limit().Items - c.budget.Used().Items
	share := max(free/(2*max(c.hub.attached(), 1)), leastWindow)
	c.window = min(c.window, uint64(share))
	c.limit = max(c.limit, accepted+c.window)
}

func (c *creditor) credit() *session.Credit {
	return &session.Credit{SequenceLimit: c.limit, State: session.CreditOK, Fill: c.budget.Fill()}
}
