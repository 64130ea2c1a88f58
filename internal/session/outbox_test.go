package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/memory"
)

// takeAll empties an outbox.
func takeAll(o *Outbox) []Control {
	var all []Control
	for c, ok := o.Next(); ok; c, ok = o.Next() {
		all = append(all, c)
	}
	return all
}

func rejected(first, last uint64, reason string) RejectedRange {
	return RejectedRange{First: first, Last: last, Rejection: memory.Rejection{Code: 3, Reason: reason}}
}

func TestOutboxKeepsSixteenAckPointsAndMergesTheRest(t *testing.T) {
	o := NewOutbox(0)
	for n := uint64(1); n <= 100; n++ {
		o.Reply(Reply{Through: n, Version: memory.Version(2 * n), Matched: 1, Rejected: []RejectedRange{rejected(n, n, fmt.Sprint(n%2))}})
	}
	all := takeAll(o)
	require.Len(t, all, maxAckPoints)
	var matched, told uint64
	for i, c := range all[:maxAckPoints-1] {
		assert.Equal(t, uint64(i+1), c.Ack.Committed)
	}
	for _, c := range all {
		matched += c.Ack.Matched
		for _, r := range c.Ack.Rejected {
			told += r.Last - r.First + 1
		}
	}
	last := all[maxAckPoints-1].Ack
	assert.Equal(t, uint64(100), last.Committed)
	assert.Equal(t, memory.Version(200), last.Version)
	assert.Equal(t, uint64(100), matched)
	assert.Equal(t, uint64(100), told)
}

func TestOutboxSignalsWhatIsPutIn(t *testing.T) {
	puts := map[string]func(o *Outbox){
		"reply":  func(o *Outbox) { o.Reply(Reply{Through: 1}) },
		"again":  func(o *Outbox) { o.Again() },
		"nack":   func(o *Outbox) { o.Nack(Nack{Expected: 1, Reason: NackSequenceGap}) },
		"grant":  func(o *Outbox) { o.Grant(Credit{SequenceLimit: 1}) },
		"pong":   func(o *Outbox) { o.Pong(1) },
		"goaway": func(o *Outbox) { o.GoAway(GoAwayShutdown, 0) },
	}
	for name, put := range puts {
		t.Run(name, func(t *testing.T) {
			o := NewOutbox(0)
			put(o)
			put(o) // never blocks on the signal
			select {
			case <-o.Ready():
			default:
				t.Fatal("no signal")
			}
			assert.NotEmpty(t, takeAll(o))
			_, more := o.Next()
			assert.False(t, more)
		})
	}
}

func TestOutboxIsSilentAboutWhatIsOnlyAccepted(t *testing.T) {
	o := NewOutbox(0)
	o.Accept(5)
	assert.Empty(t, takeAll(o))
	select {
	case <-o.Ready():
		t.Fatal("signalled")
	default:
	}
}

func TestOutboxOverflowTellsTheClientToResume(t *testing.T) {
	o := NewOutbox(0)
	n := uint64(0)
	for o.Committed() == n && n < 10*maxRejectedRanges {
		n += 2
		o.Reply(Reply{Through: n, Rejected: []RejectedRange{rejected(n, n, "zero")}})
	}
	assert.Equal(t, uint64(2*maxRejectedRanges), o.Committed(), "every number up to the limit is acked")
	o.Reply(Reply{Through: n + 2})
	all := takeAll(o)
	require.Len(t, all, maxAckPoints+1)
	last := all[maxAckPoints].GoAway
	require.NotNil(t, last)
	assert.Equal(t, GoAway{Reason: GoAwayRebalance, Committed: o.Committed()}, *last)

	told := 0
	for _, c := range all[:maxAckPoints] {
		told += len(c.Ack.Rejected)
	}
	assert.Equal(t, maxRejectedRanges, told, "what is acked names what was rejected of it")
	o.Reply(Reply{Through: n + 4})
	assert.Empty(t, takeAll(o), "it acks no further")
}

func TestOutboxOverflowsOnlyWhileTheWriterIsBehind(t *testing.T) {
	o := NewOutbox(0)
	for n := uint64(2); n <= 20*maxRejectedRanges; n += 2 {
		o.Reply(Reply{Through: n, Rejected: []RejectedRange{rejected(n, n, "zero")}})
		require.Len(t, takeAll(o), 1)
		require.Equal(t, n, o.Committed())
	}
}

func TestOutboxTellsTheWeightiestNack(t *testing.T) {
	storage := Nack{Expected: 9, Reason: NackStorageUnavailable, Retry: time.Second, Message: "the disk is full"}
	overload := Nack{Expected: 7, Reason: NackResourceExhausted, Retry: time.Millisecond, Fill: 0.9}
	newer := Nack{Expected: 8, Reason: NackResourceExhausted, Retry: time.Minute, Fill: 0.95}
	cases := map[string]struct {
		puts []Nack
		want Nack
	}{
		"the lowest number counts": {[]Nack{overload, storage}, Nack{Expected: 7, Reason: NackStorageUnavailable, Retry: time.Second, Message: "the disk is full"}},
		"whatever the order":       {[]Nack{storage, overload}, Nack{Expected: 7, Reason: NackStorageUnavailable, Retry: time.Second, Message: "the disk is full"}},
		"the newer of equals":      {[]Nack{overload, newer}, Nack{Expected: 7, Reason: NackResourceExhausted, Retry: time.Minute, Fill: 0.95}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := NewOutbox(0)
			for _, n := range c.puts {
				o.Nack(n)
			}
			all := takeAll(o)
			require.Len(t, all, 1)
			assert.Equal(t, c.want, *all[0].Nack)
		})
	}
}

// TestOutboxHistory puts random frames in and takes some out now and then: whatever the interleaving, acks rise, each
// rejected number is told once, credit never shrinks, and what waits stays within the limits.
func TestOutboxHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint64Range(0, 50).Draw(t, "committed")
		o, reader := NewOutbox(start), &outboxReader{committed: start, told: map[uint64]bool{}}
		through, limit := start, uint64(0)
		want := map[uint64]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"reply": func(t *rapid.T) {
				r := Reply{Version: memory.Version(through)}
				for range rapid.IntRange(1, 6).Draw(t, "ops") {
					through++
					if rapid.Bool().Draw(t, "rejected") {
						want[through] = true
						r.Rejected = AppendRejected(r.Rejected, rejected(through, through, rapid.SampledFrom([]string{"zero", "NaN"}).Draw(t, "reason")))
					}
				}
				r.Through = through
				o.Reply(r)
			},
			"stale reply": func(t *rapid.T) {
				o.Reply(Reply{Through: rapid.Uint64Range(0, through).Draw(t, "through")})
			},
			"accept": func(t *rapid.T) { o.Accept(through + rapid.Uint64Range(0, 9).Draw(t, "ahead")) },
			"again":  func(*rapid.T) { o.Again() },
			"nack": func(t *rapid.T) {
				o.Nack(Nack{Expected: rapid.Uint64Range(1, through+5).Draw(t, "expected"), Reason: NackResourceExhausted})
			},
			"grant": func(t *rapid.T) {
				limit += rapid.Uint64Range(0, 9).Draw(t, "more")
				o.Grant(Credit{SequenceLimit: limit})
			},
			"pong": func(t *rapid.T) { o.Pong(rapid.Uint64Range(0, 2).Draw(t, "nonce")) },
			"write": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "frames") {
					if c, ok := o.Next(); ok {
						reader.read(t, c)
					}
				}
			},
			"": func(t *rapid.T) {
				require.LessOrEqual(t, len(o.points), maxAckPoints)
				require.LessOrEqual(t, o.ranges, maxRejectedRanges)
				require.Equal(t, through, o.Committed())
			},
		})
		for _, c := range takeAll(o) {
			reader.read(t, c)
		}
		require.Equal(t, through, reader.committed)
		require.Equal(t, want, reader.told)
		require.Zero(t, o.ranges)
	})
}

// outboxReader checks what a client reads.
type outboxReader struct {
	committed, limit uint64
	told             map[uint64]bool
}

func (r *outboxReader) read(t *rapid.T, c Control) {
	switch {
	case c.Ack != nil:
		require.GreaterOrEqual(t, c.Ack.Committed, r.committed)
		require.GreaterOrEqual(t, c.Ack.Accepted, c.Ack.Committed)
		for _, rejected := range c.Ack.Rejected {
			for n := rejected.First; n <= rejected.Last; n++ {
				require.Greater(t, n, r.committed, "told after its ack")
				require.LessOrEqual(t, n, c.Ack.Committed, "told before its ack")
				r.told[n] = true
			}
		}
		r.committed = c.Ack.Committed
	case c.Nack != nil:
		require.Greater(t, c.Nack.Expected, r.committed, "asks for what is settled")
	case c.Credit != nil:
		require.GreaterOrEqual(t, c.Credit.SequenceLimit, r.limit)
		r.limit = c.Credit.SequenceLimit
	}
}
