package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxCandidateWord bounds the words that are compared: a longer one is no misspelt key.
const maxCandidateWord = 64

// suggest words a hint for a name that none of the known ones is.
func suggest(word string, known []string) string {
	if len(known) == 0 {
		return "it has no settings"
	}
	best, bestDistance := "", len(word)/3+2
	for _, candidate := range known {
		if d := distance(word, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	known = slices.Sorted(slices.Values(known))
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the bytes to insert, drop or change, or adjacent ones to swap, to get from a to b (optimal string
// alignment).
func distance(a, b string) int {
	if len(a) > maxCandidateWord {
		return len(a)
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
