package journal

import (
	"slices"
	"sort"
)

// maxChunk is how many ids a chunk of an idList holds before it is cut in two: an insertion moves at most as many.
const maxChunk = 512

// idList is a set of ids in ascending order, kept in chunks. One sorted slice of 10 million ids would move 160 MB for
// an insertion, under the store's lock; here it is some kilobytes. Not safe for concurrent use.
type idList struct {
	chunks [][]string // none is empty; ids ascend within each, and from one to the next
}

// chunkFor returns the index of the chunk in which an id is, or belongs. The list is not empty.
func (l *idList) chunkFor(id string) int {
	after := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i][0] > id })
	return max(after-1, 0)
}

// insert adds an id; one that is there already changes nothing.
func (l *idList) insert(id string) {
	if len(l.chunks) == 0 {
		l.chunks = [][]string{{id}}
		return
	}
	c := l.chunkFor(id)
	i, found := slices.BinarySearch(l.chunks[c], id)
	if found {
		return
	}
	l.chunks[c] = slices.Insert(l.chunks[c], i, id)
	if n := len(l.chunks[c]); n > maxChunk {
		upper := slices.Clone(l.chunks[c][n/2:])
		l.chunks[c] = slices.Delete(l.chunks[c], n/2, n)
		l.chunks = slices.Insert(l.chunks, c+1, upper)
	}
}

// remove takes an id out; one that is not there changes nothing.
func (l *idList) remove(id string) {
	if len(l.chunks) == 0 {
		return
	}
	c := l.chunkFor(id)
	i, found := slices.BinarySearch(l.chunks[c], id)
	if !found {
		return
	}
	l.chunks[c] = slices.Delete(l.chunks[c], i, i+1)
	if len(l.chunks[c]) == 0 {
		l.chunks = slices.Delete(l.chunks, c, c+1)
	}
}

// after returns up to limit ids above the given one, in order.
func (l *idList) after(id string, limit int) (ids []string) {
	if len(l.chunks) == 0 {
		return nil
	}
	c := l.chunkFor(id)
	i, found := slices.BinarySearch(l.chunks[c], id)
	if found {
		i++
	}
	for ; c < len(l.chunks) && len(ids) < limit; c, i = c+1, 0 {
		chunk := l.chunks[c][i:]
		ids = append(ids, chunk[:min(len(chunk), limit-len(ids))]...)
	}
	return ids
}
