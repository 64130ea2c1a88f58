package fresh

import (
	"cmp"
	"slices"
)

// Candidate is one scanned vector that is among the best. Its score is that of its code.
type Candidate struct {
	Slot    Slot
	Score   float32
	Birth   uint64
	Ordinal uint64
}

// Compare orders candidates best first: by falling score, ties by rising birth.
func Compare(a, b Candidate) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Birth, b.Birth))
}

// top keeps the best k of what is offered: a heap with the worst kept one on top. It grows with what it holds, so a
// large k costs nothing in a small space.
type top struct {
	k    int
	heap []Candidate
}

// beats reports whether the next candidate is kept if it has this score. Candidates are offered by rising birth, so
// a tie is lost.
func (t *top) beats(score float32) bool { return len(t.heap) < t.k || score > t.heap[0].Score }

// offer keeps c if it is among the best; call it after beats.
func (t *top) offer(c Candidate) {
	if len(t.heap) < t.k {
		t.heap = append(t.heap, c)
		t.up(len(t.heap) - 1)
		return
	}
	t.heap[0] = c
	t.down(0)
}

// worse reports whether i stands before j in giving way.
func (t *top) worse(i, j int) bool { return Compare(t.heap[i], t.heap[j]) > 0 }

func (t *top) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.worse(i, parent) {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

func (t *top) down(i int) {
	for {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.worse(child, worst) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		t.heap[i], t.heap[worst] = t.heap[worst], t.heap[i]
		i = worst
	}
}

// best merges heaps into their best k, in order.
func best(k int, heaps ...top) []Candidate {
	var all []Candidate
	for i := range heaps {
		all = append(all, heaps[i].heap...)
	}
	slices.SortFunc(all, Compare)
	return all[:min(k, len(all))]
}
