package journal

import (
	"container/heap"
	"time"
)

// presence knows which sessions have a stream now, and when the others expire. It is no part of the state: after a
// restart every session is detached, from then on. Not safe for concurrent use.
type presence struct {
	attached    map[string]attendance
	detached    map[string]*absence
	byDeadline  absences
	maxDetached int
}

// attendance is one attached session.
type attendance struct {
	epoch uint64 // of its stream
	// before is the epoch of the stream that goes on if this one's takeover does not become durable; 0: none, or it has
	// left.
	before uint64
}

// absence is one detached session.
type absence struct {
	id       string
	epoch    uint64
	before   uint64 // as attendance.before
	deadline time.Time
	index    int // in the heap
}

func newPresence(maxDetached int) presence {
	return presence{attached: map[string]attendance{}, detached: map[string]*absence{}, maxDetached: maxDetached}
}

func (p *presence) counts() (attached, detached int) { return len(p.attached), len(p.detached) }

// knows reports whether a session is attached or detached.
func (p *presence) knows(id string) bool {
	_, attached := p.attached[id]
	return attached || p.detached[id] != nil
}

// attach marks a session as served by a stream of the epoch. standing is the epoch that the session goes back to if this
// one does not become durable: several may have been asked for since.
func (p *presence) attach(id string, epoch, standing uint64) {
	at := p.of(id)
	if at.epoch != standing || p.detached[id] != nil {
		standing = min(standing, at.before)
	}
	p.forget(id)
	p.attached[id] = attendance{epoch: epoch, before: standing}
}

// of returns what is known of a session, attached or detached.
func (p *presence) of(id string) attendance {
	if a := p.detached[id]; a != nil {
		return attendance{epoch: a.epoch, before: a.before}
	}
	return p.attached[id]
}

// detach starts a session's time to live, unless a newer stream serves it.
func (p *presence) detach(id string, epoch uint64, deadline time.Time) bool {
	if p.attached[id].epoch > epoch {
		return false
	}
	before := p.of(id).before
	p.forget(id)
	a := &absence{id: id, epoch: epoch, before: before, deadline: deadline}
	p.detached[id] = a
	heap.Push(&p.byDeadline, a)
	return true
}

// left notes that the stream of an older epoch is gone too.
func (p *presence) left(id string, epoch uint64) {
	if at, ok := p.attached[id]; ok && at.before == epoch {
		p.attached[id] = attendance{epoch: at.epoch}
	}
	if a := p.detached[id]; a != nil && a.before == epoch {
		a.before = 0
	}
}

// revert voids what is known of epochs above the given one: their beginnings did not become durable. The stream of that
// epoch serves the session again, if it has not left.
func (p *presence) revert(id string, epoch uint64) {
	at := p.of(id)
	if at.epoch <= epoch {
		return
	}
	p.forget(id)
	if at.before == epoch {
		p.attached[id] = attendance{epoch: epoch}
	}
}

// refresh moves the deadline of a detached session.
func (p *presence) refresh(id string, deadline time.Time) {
	if a := p.detached[id]; a != nil {
		a.deadline = deadline
		heap.Fix(&p.byDeadline, a.index)
	}
}

// forget removes a session.
func (p *presence) forget(id string) {
	delete(p.attached, id)
	if a := p.detached[id]; a != nil {
		heap.Remove(&p.byDeadline, a.index)
		delete(p.detached, id)
	}
}

// forgetEpoch removes a session unless a newer stream serves it, or has.
func (p *presence) forgetEpoch(id string, epoch uint64) {
	if a := p.detached[id]; p.attached[id].epoch <= epoch && (a == nil || a.epoch <= epoch) {
		p.forget(id)
	}
}

// expired reports whether a detached session's time is over.
func (p *presence) expired(id string, now time.Time) bool {
	a := p.detached[id]
	return a != nil && now.After(a.deadline)
}

// over reports whether there are more detached sessions than allowed.
func (p *presence) over() bool { return len(p.detached) > p.maxDetached }

// due returns up to limit sessions that have to go: expired ones, and those nearest to expiry while there are too many.
// They stay until they are forgotten.
func (p *presence) due(now time.Time, limit int) []*absence {
	var out []*absence
	for len(out) < limit && len(p.byDeadline) > 0 && (p.over() || now.After(p.byDeadline[0].deadline)) {
		a := heap.Pop(&p.byDeadline).(*absence)
		delete(p.detached, a.id)
		out = append(out, a)
	}
	for _, a := range out {
		p.detached[a.id] = a
		heap.Push(&p.byDeadline, a)
	}
	return out
}

// absences is a heap by deadline.
type absences []*absence

func (h *absences) Len() int           { return len(*h) }
func (h *absences) Less(i, j int) bool { return (*h)[i].deadline.Before((*h)[j].deadline) }
func (h *absences) Swap(i, j int) {
	list := *h
	list[i], list[j] = list[j], list[i]
	list[i].index, list[j].index = i, j
}

// Push implements heap.Interface.
func (h *absences) Push(x any) {
	a := x.(*absence)
	a.index = len(*h)
	*h = append(*h, a)
}

// Pop implements heap.Interface.
func (h *absences) Pop() any {
	old := *h
	last := len(old) - 1
	a := old[last]
	old[last] = nil
	*h = old[:last]
	return a
}
