package graph

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestABusyKeyIsFoundAmongMany: beside more keys than are tracked, at what it takes, in the memory that there is; for so long
// that the landmark moves.
func TestABusyKeyIsFoundAmongMany(t *testing.T) {
	b, now := &busyKeys{}, time.Duration(0)
	for n := range 400_000 {
		key, took := fmt.Sprint(n%10_000), 900*time.Microsecond
		if n%10 == 0 {
			key, took = "hot", 900*time.Microsecond
		}
		b.add(key, now, now+took)
		now += time.Millisecond
	}
	require.Positive(t, b.landmark)
	require.Len(t, b.tracked, trackedKeys)
	require.Len(t, b.places, trackedKeys)
	assert.Equal(t, "hot", b.top(3)[0])
	assert.InDelta(t, 0.09, b.share("hot", now), 0.003)
	assert.Zero(t, b.share("none", now))
	for _, k := range b.tracked {
		if k.key != "hot" {
			assert.Less(t, b.share(k.key, now), 0.01, "what it owes is not its own")
		}
	}
	later := b.share("hot", now+10*loadFades)
	assert.Less(t, later, 0.0001)
	assert.Positive(t, later)
}

func TestTheDeepestKeysOfASchedule(t *testing.T) {
	s := newSchedule[int](2, true, true)
	for key := range 20 {
		for range key {
			require.True(t, s.push(queued[int]{route: Route{Lane: key % 2, Key: fmt.Sprint(key * 7 % 20)}, weight: Window{Items: 1, Bytes: 10}}))
		}
	}
	require.True(t, s.push(queued[int]{weight: Window{Items: 1000}}), "of no key")
	assert.Equal(t, []string{fmt.Sprint(19 * 7 % 20), fmt.Sprint(18 * 7 % 20), fmt.Sprint(17 * 7 % 20)}, s.deepestKeys(3))
	assert.Len(t, s.deepestKeys(100), 19)
	assert.Equal(t, Window{Items: 19, Bytes: 190}, s.queuedOf(fmt.Sprint(19*7%20)))
	assert.Zero(t, s.queuedOf("none"))
}

// BenchmarkBusyKeys is what a batch pays: of a key that is known, and of ever new ones.
func BenchmarkBusyKeys(b *testing.B) {
	for _, keys := range []int{10, 10_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			all := make([]string, keys)
			for i := range all {
				all[i] = fmt.Sprint(i)
			}
			var busy busyKeys
			n, now := 0, time.Duration(0)
			b.ReportAllocs()
			for b.Loop() {
				busy.add(all[n%keys], now, now+time.Millisecond)
				n, now = n+1, now+time.Millisecond
			}
		})
	}
}
