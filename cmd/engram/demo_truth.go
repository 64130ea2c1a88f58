package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/engram-stream/engram/internal/dataset"
)

// nearest is the demo's own exact answer, in float64 and sharing no code with the server: the ids of the k rows with
// the highest cosine to the query.
func nearest(rows []dataset.Row, query []float32, k int) []string {
	type scored struct {
		id    string
		score float64
	}
	all := make([]scored, len(rows))
	for i := range rows {
		all[i] = scored{rows[i].ID, cosine(rows[i].Embedding, query)}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
	ids := make([]string, min(k, len(all)))
	for i := range ids {
		ids[i] = all[i].id
	}
	return ids
}

func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot += x * y
		aa += x * x
		bb += y * y
	}
	return dot / math.Sqrt(aa*bb)
}

// overlap counts how many of want are in got.
func overlap(want, got []string) int {
	n := 0
	for _, id := range want {
		if slices.Contains(got, id) {
			n++
		}
	}
	return n
}
