package graph

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean is a hint for a misspelt name: the nearest one, else all there are.
func didYouMean(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return ""
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = fmt.Sprintf("%q", k)
	}
	slices.Sort(quoted)
	return "there are " + strings.Join(quoted, ", ")
}

// nearest returns the known name within a third of the name's length in edits, or "".
func nearest(name string, known []string) string {
	best, limit := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, k); d < limit {
			best, limit = k, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions and replacements of bytes that make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
