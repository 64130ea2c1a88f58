package graph

// urgentInARow is how many urgent takes may follow each other while something else waits: who marks all as urgent
// does not shut the others out.
const urgentInARow = 16

// turns are two queues taken from in turn: the urgent one first, but for one take in urgentInARow.
type turns[E any] struct {
	urgent, normal queue[E]
	inARow         int // urgent takes since the last other one
}

func (t *turns[E]) push(e E, urgent bool) {
	if urgent {
		t.urgent.push(e)
	} else {
		t.normal.push(e)
	}
}

// next is the queue to take from; nil when both are empty.
func (t *turns[E]) next() *queue[E] {
	switch urgent, normal := t.urgent.length() > 0, t.normal.length() > 0; {
	case urgent && (!normal || t.inARow < urgentInARow):
		return &t.urgent
	case normal:
		return &t.normal
	}
	return nil
}

// take takes from the queue that next has named.
func (t *turns[E]) take(from *queue[E]) E {
	if from == &t.urgent {
		t.inARow++
	} else {
		t.inARow = 0
	}
	return from.take()
}
