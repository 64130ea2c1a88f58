package client

// refusals count the rejections that nobody was told yet, so that a program which ignores its Pendings still learns of
// them at the next Flush or Close. The Session guards it.
type refusals struct {
	untold  int
	example *RejectedError // the first of them
	round   uint64         // counts the reports; from 1
}

func newRefusals() refusals { return refusals{round: 1} }

func (r *refusals) add(e *RejectedError) {
	if r.untold == 0 {
		r.example = e
	}
	r.untold += int(e.Last - e.First + 1)
}

// told takes off a rejection that its own Pending tells, unless a report came first.
func (r *refusals) told(p *Pending) {
	if p.round == r.round {
		r.untold--
	}
	p.round = 0
}

// take reports what is untold, once: nil when there is nothing.
func (r *refusals) take() error {
	if r.untold == 0 {
		return nil
	}
	e := *r.example
	e.More = r.untold - int(e.Last-e.First+1)
	*r = refusals{round: r.round + 1}
	return &e
}
