package session

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func supply(items, sessions int) Supply {
	return Supply{FreeItems: items, FreeBytes: 1 << 30, Sessions: sessions, Pressure: Pressure{State: CreditOK}}
}

func TestFirstCredit(t *testing.T) {
	cases := map[string]struct {
		supply Supply
		want   uint64 // items ahead of what is settled
	}{
		"an idle server":     {supply(100_000, 1), FirstCreditItems},
		"a share":            {supply(1000, 10), 50},
		"a full server":      {supply(0, 10), MinCreditItems},
		"beyond full":        {supply(-5, 10), MinCreditItems},
		"a great many":       {supply(1000, 4096), MinCreditItems},
		"before any attach":  {supply(100, 0), 50},
		"one more than half": {supply(512, 1), 256},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			credit := NewGranter().First(40, c.supply)
			assert.Equal(t, 40+c.want, credit.SequenceLimit)
			assert.GreaterOrEqual(t, credit.ByteLimit, uint64(MinCreditBytes))
		})
	}
}

func TestCreditIsGrantedAgainWhenHalfIsUsed(t *testing.T) {
	g, s := NewGranter(), supply(100_000, 1)
	g.First(0, s)
	_, due := g.Next(127, 0, s)
	assert.False(t, due)
	credit, due := g.Next(128, 0, s)
	assert.True(t, due)
	assert.Equal(t, uint64(128+512), credit.SequenceLimit, "the window doubles with use")
	_, due = g.Next(128, 0, s)
	assert.False(t, due)
}

func TestCreditIsGrantedAgainWhenHalfTheBytesAreUsed(t *testing.T) {
	g, s := NewGranter(), Supply{FreeItems: 1000, FreeBytes: 16 << 20, Sessions: 2, Pressure: Pressure{State: CreditOK}}
	first := g.First(0, s)
	require.Equal(t, uint64(4<<20), first.ByteLimit)
	_, due := g.Next(1, 2<<20-1, s)
	assert.False(t, due)
	credit, due := g.Next(1, 2<<20, s)
	assert.True(t, due)
	assert.Equal(t, uint64(6<<20), credit.ByteLimit)
}

func TestCreditGrowsToItsCeiling(t *testing.T) {
	g, s := NewGranter(), supply(1<<30, 1)
	limit := g.First(0, s).SequenceLimit
	for range 20 {
		accepted := limit
		credit, due := g.Next(accepted, 0, s)
		require.True(t, due)
		limit = credit.SequenceLimit
		require.LessOrEqual(t, limit-accepted, uint64(MaxCreditItems))
	}
	credit, _ := g.Next(limit, 0, s)
	assert.Equal(t, uint64(MaxCreditItems), credit.SequenceLimit-limit)
}

func TestCreditDoesNotGrowUnderPressure(t *testing.T) {
	g, s := NewGranter(), supply(100_000, 1)
	g.First(0, s)
	s.Pressure.State = CreditSlowDown
	for accepted := uint64(256); accepted < 5000; accepted += 256 {
		credit, due := g.Next(accepted, 0, s)
		require.True(t, due)
		require.Equal(t, accepted+FirstCreditItems, credit.SequenceLimit)
	}
}

func TestCreditTellsAChangeOfState(t *testing.T) {
	g, s := NewGranter(), supply(100_000, 1)
	first := g.First(0, s)
	s.Pressure = Pressure{State: CreditSlowDown, Fill: 0.85, Stage: "admit"}
	credit, due := g.Next(0, 0, s)
	require.True(t, due)
	assert.Equal(t, CreditSlowDown, credit.State)
	assert.Equal(t, "admit", credit.Stage)
	assert.Equal(t, first.SequenceLimit, credit.SequenceLimit, "and grants nothing by it")
	_, due = g.Next(0, 0, s)
	assert.False(t, due)
}

// TestCreditHistory lets the supply and what is accepted vary at will, storage failures included: limits never
// shrink, and a client that has used what it has is always granted more, so none waits for another.
func TestCreditHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGranter()
		accepted := rapid.Uint64Range(0, 1000).Draw(t, "committed")
		draw := func(t *rapid.T) Supply {
			return Supply{
				FreeItems: rapid.IntRange(-100, 200_000).Draw(t, "items"),
				FreeBytes: rapid.Int64Range(-100, 1<<31).Draw(t, "bytes"),
				Sessions:  rapid.IntRange(0, 5000).Draw(t, "sessions"),
				Pressure:  Pressure{State: rapid.SampledFrom([]CreditState{CreditOK, CreditSlowDown, CreditBufferFull}).Draw(t, "state")},
			}
		}
		had := g.First(accepted, draw(t))
		sent := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				credit, due := g.Next(accepted, sent, draw(t))
				if !due {
					credit = had
				}
				require.GreaterOrEqual(t, credit.SequenceLimit, had.SequenceLimit)
				require.GreaterOrEqual(t, credit.ByteLimit, had.ByteLimit)
				require.Greater(t, credit.SequenceLimit, accepted)
				require.Greater(t, credit.ByteLimit, sent)
				had = credit
			},
			"send": func(t *rapid.T) {
				accepted += rapid.Uint64Range(1, had.SequenceLimit-accepted).Draw(t, "items")
				sent += rapid.Uint64Range(1, had.ByteLimit-sent).Draw(t, "bytes")
			},
			"step back": func(t *rapid.T) { accepted -= rapid.Uint64Range(0, accepted).Draw(t, "items") },
		})
	})
}

func TestPressureStatesAreLeftATenthLower(t *testing.T) {
	at := Thresholds{SlowDownAt: 0.8, RejectAt: 0.9}
	state := CreditOK
	steps := []struct {
		fill float64
		want CreditState
	}{
		{0.79, CreditOK},
		{0.80, CreditSlowDown},
		{0.71, CreditSlowDown},
		{0.69, CreditOK},
		{0.89, CreditSlowDown},
		{0.90, CreditBufferFull},
		{0.81, CreditBufferFull},
		{0.79, CreditSlowDown},
		{0.85, CreditSlowDown},
		{1.20, CreditBufferFull},
		{0.10, CreditOK},
		{0.95, CreditBufferFull},
	}
	for _, step := range steps {
		state = at.Next(state, step.fill)
		require.Equal(t, step.want, state, "at %v", step.fill)
	}
}
