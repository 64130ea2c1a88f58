package graph

// keyline is what waits of one key on an edge: a FIFO for each sender, and the order between the senders. It is not
// safe for concurrent use; its schedule guards it.
//
// The order is kept as turns of senders, one a batch. A turn is of a sender, not of a batch: it takes the sender's
// oldest, so a sender's order holds whichever turn comes first. An urgent batch gives an urgent turn to itself and to
// each batch before it of its sender that has none, whose normal turns are void then.
type keyline[T any] struct {
	// Its schedule's.
	key     Route  // Lane and Key
	desk    int    // where it waits, or whose worker runs it
	running bool   // a batch of it
	parked  bool   // it is not ready, since the queue behind is full of it
	ticket  uint64 // of its place at the desk; 0: it has none
	hurried bool   // that place is an urgent one

	count int    // batches
	depth Window // their weight

	only    flow[T]             // the one sender of most lines
	senders map[string]*flow[T] // the others, by name; nil until there are any
	order   turns[*flow[T]]
}

// flow is what waits of one sender.
type flow[T any] struct {
	sender  string
	batches queue[queued[T]]
	normal  int // its valid normal turns
	void    int // its void ones, which come before those
}

// add puts a batch at the end of its sender's.
func (l *keyline[T]) add(q queued[T]) {
	f := l.flow(q.route.Sender)
	f.batches.push(q)
	l.count++
	l.depth = l.depth.plus(q.weight)
	if !q.route.Urgent {
		f.normal++
		l.order.push(f, false)
		return
	}
	for range f.normal + 1 {
		l.order.push(f, true)
	}
	f.void, f.normal = f.void+f.normal, 0
}

func (l *keyline[T]) flow(sender string) *flow[T] {
	if sender == l.only.sender {
		return &l.only
	}
	if l.count == 0 && l.only.void == 0 && len(l.senders) == 0 {
		l.only.sender = sender
		return &l.only
	}
	if l.senders[sender] == nil {
		if l.senders == nil {
			l.senders = make(map[string]*flow[T])
		}
		l.senders[sender] = &flow[T]{sender: sender}
	}
	return l.senders[sender]
}

// take takes the batch whose turn it is. Not of an empty line.
func (l *keyline[T]) take() queued[T] {
	f := l.turn()
	q := f.batches.take()
	l.count--
	l.depth = l.depth.minus(q.weight)
	l.forget(f)
	return q
}

func (l *keyline[T]) turn() *flow[T] {
	for l.order.normal.length() > 0 && l.order.normal.first().void > 0 {
		f := l.order.normal.take()
		f.void--
		l.forget(f)
	}
	from := l.order.next()
	f := l.order.take(from)
	if from == &l.order.normal {
		f.normal--
	}
	return f
}

// forget drops a sender of whom nothing waits.
func (l *keyline[T]) forget(f *flow[T]) {
	if f != &l.only && f.batches.length() == 0 && f.void == 0 {
		delete(l.senders, f.sender)
	}
}

// hurry says whether an urgent batch waits here.
func (l *keyline[T]) hurry() bool { return l.order.urgent.length() > 0 }

// all takes everything, in no order between senders.
func (l *keyline[T]) all() []queued[T] {
	var out []queued[T]
	for l.count > 0 {
		out = append(out, l.take())
	}
	return out
}

// spareLines bounds how many lines a schedule keeps to use again, and spareBatches for how many batches each has room.
const (
	spareLines   = 256
	spareBatches = 64
)

// reset makes an empty line as good as new; false if it is too large to keep.
func (l *keyline[T]) reset() bool {
	if cap(l.only.batches.all) > spareBatches || cap(l.order.normal.all) > spareBatches || cap(l.order.urgent.all) > spareBatches {
		return false
	}
	only, order := l.only.batches.all[:0], l.order
	clear(order.normal.all)
	order.normal, order.urgent, order.inARow = queue[*flow[T]]{all: order.normal.all[:0]}, queue[*flow[T]]{all: order.urgent.all[:0]}, 0
	*l = keyline[T]{order: order}
	l.only.batches.all = only
	return true
}
