package graph

import (
	"fmt"
	"slices"
	"strings"
)

// DidYouMean words a hint for a misspelt name: the nearest one of the known, else all there are. It is empty when
// none are known.
func DidYouMean(name string, known []string) string {
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

// maxMisspelt is the longest name, in bytes, that is taken for a misspelt one; comparing is quadratic.
const maxMisspelt = 64

// nearest returns the known name within a third of the name's length in edits, or "".
func nearest(name string, known []string) string {
	if len(name) > maxMisspelt {
		return ""
	}
	best, limit := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, k); d < limit {
			best, limit = k, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, drop or replace, or the neighbours to swap ("form" for "from"), that make
// b of a (optimal string alignment).
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// withArticle renders `a "decode"` or `an "admit"`.
func withArticle(name string) string {
	if strings.TrimLeft(name, "aeiou") == name {
		return fmt.Sprintf("a %q", name)
	}
	return fmt.Sprintf("an %q", name)
}
