package transports

import (
	"sync"

	"github.com/engram-stream/engram/internal/session"
)

// creditor grants one client its credit: the reader after each frame, the writer now and then while the pressure is
// up, since a client that was told to wait says nothing by which it could learn that the wait is over.
type creditor struct {
	server *Server
	att    *session.Attachment

	mu       sync.Mutex
	granter  *session.Granter    // guarded by mu
	received uint64              // guarded by mu: payload bytes in this epoch
	state    session.CreditState // guarded by mu: as last told
}

func newCreditor(s *Server, att *session.Attachment) *creditor {
	return &creditor{server: s, att: att, granter: session.NewGranter()}
}

// first is the credit of a Welcome.
func (c *creditor) first(committed uint64) *session.Credit {
	c.mu.Lock()
	defer c.mu.Unlock()
	credit := c.granter.First(committed, c.server.supply())
	c.state = credit.State
	return &credit
}

// received counts a frame's payload and grants what is due.
func (c *creditor) after(bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received += bytes
	credit, due := c.granter.Next(c.att.Window.Expected()-1, c.received, c.server.supply())
	if due {
		c.state = credit.State
		c.att.Outbox.Grant(credit)
	}
}

// pressed reports whether the client was last told to hold back.
func (c *creditor) pressed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state > session.CreditOK
}

// supply is what the streams' credit is cut from now.
func (s *Server) supply() session.Supply {
	p := s.Admission.Get().Pressure()
	return session.Supply{
		FreeItems: p.ItemLimit - p.Items, FreeBytes: p.ByteLimit - p.Bytes, Sessions: s.hub.attached(), Pressure: p,
	}
}
