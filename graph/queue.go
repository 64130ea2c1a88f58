package graph

// queue is a FIFO. Its zero value is empty; its owner bounds its length.
type queue[E any] struct {
	all  []E
	head int // the first not taken
}

func (q *queue[E]) length() int { return len(q.all) - q.head }

// first returns what is taken next. Not of an empty queue.
func (q *queue[E]) first() E { return q.all[q.head] }

func (q *queue[E]) push(e E) {
	if len(q.all) == cap(q.all) && q.head > len(q.all)/2 {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	q.all = append(q.all, e)
}

// take takes the oldest. Not of an empty queue.
func (q *queue[E]) take() E {
	var none E
	e := q.all[q.head]
	q.all[q.head] = none
	q.head++
	if q.head == len(q.all) {
		q.all, q.head = q.all[:0], 0
	}
	return e
}
