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

// part is the ops of a batch that go to one lane, by index, ascending.
type part struct {
	lane    int
	indexes []int
}

// split sorts the ops of a batch by lane; lanes come in the order of their first op, and each keeps the batch's order.
func split(ops []session.Op, lanes int) []part {
	var parts []part
	var from *session.Attachment
	at := 0 // in parts, for ops of from
	for i := range ops {
		if ops[i].From != from {
			from = ops[i].From
			parts, at = find(parts, laneOf(from.Space, lanes))
		}
		parts[at].indexes = append(parts[at].indexes, i)
	}
	return parts
}

func find(parts []part, lane int) ([]part, int) {
	for i := range parts {
		if parts[i].lane == lane {
			return parts, i
		}
	}
	return append(parts, part{lane: lane}), len(parts)
}
