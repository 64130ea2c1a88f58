package shard

import "github.com/engram-stream/engram/internal/session"

// laneOf returns the lane of a space, 0 to lanes-1: always the same one, in every process.
func laneOf(space string, lanes int) int {
	// FNV-1a: short names, called once a frame.
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	for i := range len(space) {
		hash = (hash ^ uint64(space[i])) * prime
	}
	return int(hash % uint64(lanes))
}

// part is the ops of a batch that belong to one space, by index, ascending.
type part struct {
	space   string
	indexes []int
}

// split sorts the ops of a batch by space; spaces come in the order of their first op, and each keeps the batch's order.
func split(ops []session.Op) []part {
	var parts []part
	places := map[string]int{} // in parts
	var from *session.Attachment
	at := 0 // in parts, for ops of from
	for i := range ops {
		if ops[i].From != from {
			from = ops[i].From
			var known bool
			if at, known = places[from.Space]; !known {
				at = len(parts)
				places[from.Space] = at
				parts = append(parts, part{space: from.Space})
			}
		}
		parts[at].indexes = append(parts[at].indexes, i)
	}
	return parts
}

// ofOneSpace says whether all ops belong to one space, as those of one frame do.
func ofOneSpace(ops []session.Op) bool {
	for i := range ops {
		if ops[i].From != ops[0].From && ops[i].From.Space != ops[0].From.Space {
			return false
		}
	}
	return len(ops) > 0
}
