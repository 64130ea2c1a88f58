package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/engram-stream/engram/internal/dataset"
)

// truth is the demo's own exact answer, sharing no code with the server: the rows at unit length.
type truth struct {
	ids  []string
	unit [][]float32
}

func newTruth(rows []dataset.Row) *truth {
	t := &truth{}
	for i := range rows {
		t.ids = append(t.ids, rows[i].ID)
		t.unit = append(t.unit, unit(rows[i].Embedding))
	}
	return t
}

// nearest returns the ids of the k rows with the highest cosine to row i, itself among them.
func (t *truth) nearest(i, k int) []string {
	type scored struct {
		id    string
		score float64
	}
	all := make([]scored, len(t.unit))
	for j := range t.unit {
		all[j] = scored{t.ids[j], dot(t.unit[i], t.unit[j])}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
	ids := make([]string, min(k, len(all)))
	for j := range ids {
		ids[j] = all[j].id
	}
	return ids
}

func unit(v []float32) []float32 {
	norm := math.Sqrt(dot(v, v))
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / norm)
	}
	return out
}

func dot(a, b []float32) float64 {
	var sum float64
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
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
