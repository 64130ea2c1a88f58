package session

import "github.com/engram-stream/engram/internal/memory"

// RejectedRange is a run of adjacent numbers rejected for the same reason.
type RejectedRange struct {
	First, Last uint64
	memory.Rejection
}

// AppendRejected appends ranges that lie above those of list, joining what is adjacent and rejected for the same reason.
func AppendRejected(list []RejectedRange, more ...RejectedRange) []RejectedRange {
	for _, r := range more {
		if n := len(list); n > 0 && list[n-1].Last+1 == r.First && list[n-1].Rejection == r.Rejection {
			list[n-1].Last = r.Last
			continue
		}
		list = append(list, r)
	}
	return list
}

// above returns the part of ascending ranges that lies above a number. It does not change list.
func above(list []RejectedRange, number uint64) []RejectedRange {
	for len(list) > 0 && list[0].Last <= number {
		list = list[1:]
	}
	if len(list) == 0 || list[0].First > number {
		return list
	}
	cut := append([]RejectedRange(nil), list...)
	cut[0].First = number + 1
	return cut
}
