package embed

import (
	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// The most that is embedded in one piece of work: a session has one at a time, so that its next can be somebody else's.
const (
	maxJobOps   = 512
	maxJobBytes = 1 << 20
)

// lines are the sessions that wait for vectors, a line of ops each, in the order they came. Not safe for concurrent use.
type lines struct {
	limit graph.Window // of what all of them hold

	held  graph.Window
	of    map[*session.Attachment]*line
	ready []*line // those whose first ops nobody embeds yet; whoever has waited longest is first
}

// line is what waits of one attachment: never empty.
type line struct {
	from    *session.Attachment
	entries []entry
	working bool // a job has its first entries
}

// entry is a stretch of ops that came together, and stay so.
type entry struct {
	batch *graph.Batch[session.Op]
	size  graph.Window
}

func newLines(limit graph.Window) *lines {
	return &lines{limit: limit, of: map[*session.Attachment]*line{}}
}

// lacksVector says whether an op waits for a vector of its content.
func lacksVector(op *session.Op) bool {
	return op.Kind == memory.OpObserve && len(op.Observe.Vector) == 0
}

// waits says whether ops of an attachment, one after the other, must get in line.
func (l *lines) waits(ops []session.Op) bool {
	if l.of[ops[0].From] != nil {
		return true
	}
	for i := range ops {
		if lacksVector(&ops[i]) {
			return true
		}
	}
	return false
}

// add takes ops of one attachment to the end of its line, and returns what there is no room for. A unary call's are taken
// whole or not at all: half of one that does not fit would be taken again, and refused again, each time it is repeated.
func (l *lines) add(b *graph.Batch[session.Op]) (refused *graph.Batch[session.Op]) {
	n := l.room(b)
	if n == 0 {
		return b
	}
	head, rest := graph.Cut(b, n)
	e := entry{batch: head, size: graph.Window{Items: head.Len(), Bytes: head.Bytes()}}
	from := head.Items[0].From
	ln := l.of[from]
	if ln == nil {
		ln = &line{from: from}
		l.of[from] = ln
		l.ready = append(l.ready, ln)
	}
	ln.entries = append(ln.entries, e)
	l.held.Items += e.size.Items
	l.held.Bytes += e.size.Bytes
	return rest
}

// room returns how many of the ops there is room for. Where nothing is held the bytes do not matter, nor does the number
// of a unary call's: what came in one message must be able to pass.
func (l *lines) room(b *graph.Batch[session.Op]) int {
	unary := b.Items[0].From.Unary
	switch items := l.limit.Items - l.held.Items; {
	case l.held.Items == 0 && unary:
		return b.Len()
	case l.held.Items > 0 && b.Bytes() > l.limit.Bytes-l.held.Bytes, unary && b.Len() > items:
		return 0
	default:
		return max(min(items, b.Len()), 0)
	}
}

// job is the first entries of a line, and their texts.
type job struct {
	line    *line
	entries int
	texts   []string
}

// next takes the line that has waited longest, and returns its next job; nil when none waits.
func (l *lines) next() *job {
	if len(l.ready) == 0 {
		return nil
	}
	ln := l.ready[0]
	l.ready[0] = nil
	l.ready = l.ready[1:]
	ln.working = true
	j := &job{line: ln}
	ops, bytes := 0, int64(0)
	for _, e := range ln.entries {
		ops, bytes = ops+e.size.Items, bytes+e.size.Bytes
		if j.entries > 0 && (ops > maxJobOps || bytes > maxJobBytes) {
			break
		}
		j.entries++
		for i := range e.batch.Items {
			if op := &e.batch.Items[i]; lacksVector(op) {
				j.texts = append(j.texts, op.Observe.Content)
			}
		}
	}
	return j
}

// leave takes a job's entries out of the line, which goes on with the next ones, if there are any.
func (l *lines) leave(j *job) []entry {
	ln := j.line
	gone := ln.entries[:j.entries:j.entries]
	ln.entries, ln.working = ln.entries[j.entries:], false
	l.release(gone)
	if len(ln.entries) == 0 {
		delete(l.of, ln.from)
	} else {
		l.ready = append(l.ready, ln)
	}
	return gone
}

// drop takes the whole line of a job away: nothing behind an op that is not taken can be either.
func (l *lines) drop(j *job) []entry {
	gone := j.line.entries
	j.line.entries = nil
	l.release(gone)
	delete(l.of, j.line.from)
	return gone
}

func (l *lines) release(gone []entry) {
	for _, e := range gone {
		l.held.Items -= e.size.Items
		l.held.Bytes -= e.size.Bytes
	}
}

// runs cuts a batch into stretches of one attachment each.
func runs(b *graph.Batch[session.Op]) (all []*graph.Batch[session.Op]) {
	for b.Len() > 0 {
		n := 1
		for n < b.Len() && b.Items[n].From == b.Items[0].From {
			n++
		}
		var run *graph.Batch[session.Op]
		run, b = graph.Cut(b, n)
		all = append(all, run)
	}
	return all
}
