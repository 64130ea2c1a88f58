package journal

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// An idList holds what a sorted slice would, whatever is put in and taken out, and pages through it in order.
func TestIDListIsASortedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l idList
		var want []string
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"insert many": func(t *rapid.T) {
				step := rapid.IntRange(1, 7).Draw(t, "step")
				for range rapid.IntRange(1, maxChunk).Draw(t, "n") {
					next = (next + step*7919) % 100_000
					id := fmt.Sprintf("s%05d", next)
					l.insert(id)
					if i, found := slices.BinarySearch(want, id); !found {
						want = slices.Insert(want, i, id)
					}
				}
			},
			"remove a run": func(t *rapid.T) {
				if len(want) == 0 {
					t.Skip("nothing to remove")
				}
				from := rapid.IntRange(0, len(want)-1).Draw(t, "from")
				to := rapid.IntRange(from+1, len(want)).Draw(t, "to")
				for _, id := range want[from:to] {
					l.remove(id)
				}
				want = slices.Delete(want, from, to)
			},
			"remove none": func(*rapid.T) { l.remove("nobody") },
			"page": func(t *rapid.T) {
				limit := rapid.IntRange(1, 3*maxChunk).Draw(t, "limit")
				at := rapid.IntRange(0, len(want)).Draw(t, "at")
				after := rapid.SampledFrom([]string{"", "a", "z", fmt.Sprintf("s%05d", rapid.IntRange(0, 100_000).Draw(t, "id"))}).Draw(t, "after")
				if at < len(want) {
					after = want[at]
				}
				from, found := slices.BinarySearch(want, after)
				if found {
					from++
				}
				require.Equal(t, append([]string{}, want[from:min(from+limit, len(want))]...), append([]string{}, l.after(after, limit)...))
			},
			"": func(t *rapid.T) {
				require.Len(t, l.after("", len(want)+1), len(want))
				for _, c := range l.chunks {
					require.NotEmpty(t, c)
					require.LessOrEqual(t, len(c), maxChunk)
				}
			},
		})
	})
}
