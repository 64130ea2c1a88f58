package client

import "slices"

// maxUntold bounds the rejections that are kept to be named; beyond it they are only counted.
const maxUntold = 64

// refusals count the rejections that nobody was told yet, so that a program which ignores its Pendings still learns of
// them at the next Flush or Close. The Session guards it.
type refusals struct {
	untold   int
	examples []*RejectedError // the first of them
	latest   *RejectedError   // named when none of the examples is left, though it may have been told
	round    uint64           // counts the reports; from 1
}

func newRefusals() refusals { return refusals{round: 1} }

func (r *refusals) add(e *RejectedError) {
	r.untold += int(e.Last - e.First + 1)
	r.latest = e
	if len(r.examples) < maxUntold {
		r.examples = append(r.examples, e)
	}
}

// told takes off a rejection that its own Pending tells, unless a report came first.
func (r *refusals) told(p *Pending) {
	if p.round == r.round {
		r.untold--
		r.examples = slices.DeleteFunc(r.examples, func(e *RejectedError) bool { return e.First == p.sequence })
	}
	p.round = 0
}

// take reports what is untold, once: nil when there is nothing.
func (r *refusals) take() error {
	if r.untold == 0 {
		return nil
	}
	e := *r.latest
	if len(r.examples) > 0 {
		e = *r.examples[0]
	}
	e.More = r.untold - int(e.Last-e.First+1)
	*r = refusals{round: r.round + 1}
	return &e
}
