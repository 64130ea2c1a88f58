package client

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

var epoch = time.Unix(1_800_000_000, 0)

func newSender() *sender {
	s := &sender{bufferItems: 1000, bufferBytes: 1 << 20, maxBatch: 4, maxFrame: 1 << 16, linger: 2 * time.Millisecond}
	s.begin(0)
	return s
}

func attached() *sender {
	s := newSender()
	s.credit(&engramv1.Credit{SequenceLimit: 1 << 40}, epoch)
	return s
}

func pushN(s *sender, n int) {
	for range n {
		s.push(named(s.last()+1, 100))
	}
}

// named returns an item whose payload tells its number.
func named(number uint64, bytes int) item {
	return item{observe: &engramv1.Observation{MemoryId: strconv.FormatUint(number, 10)}, bytes: bytes, queued: epoch, pending: &Pending{}}
}

func ignore(*item, *RejectedError) {}

func TestSenderLingersForMoreAndNotLonger(t *testing.T) {
	s := attached()
	pushN(s, 3)
	f, at := s.frame(epoch)
	require.True(t, f.empty())
	assert.Equal(t, epoch.Add(2*time.Millisecond), at)

	f, _ = s.frame(at)
	assert.Equal(t, uint64(1), f.first)
	assert.Len(t, f.observations, 3)
}

func TestSenderSendsAFullBatchAtOnce(t *testing.T) {
	s := attached()
	pushN(s, 5)
	f, _ := s.frame(epoch)
	assert.Len(t, f.observations, 4)
	f, _ = s.frame(epoch)
	assert.True(t, f.empty(), "the fifth lingers")
}

func TestSenderWakesTheWriterOnlyWhenItHasToDecide(t *testing.T) {
	s := attached()
	var wakes []bool
	for range 5 {
		_, wake := s.push(named(s.last()+1, 100))
		wakes = append(wakes, wake)
	}
	assert.Equal(t, []bool{true, false, false, true, true}, wakes)
}

func TestSenderLingersLongerWhenAskedToSlowDown(t *testing.T) {
	s := attached()
	s.credit(&engramv1.Credit{State: engramv1.Credit_STATE_SLOW_DOWN}, epoch)
	pushN(s, 1)
	_, at := s.frame(epoch)
	assert.Equal(t, epoch.Add(slowDownLingers*2*time.Millisecond), at)
	s.credit(&engramv1.Credit{State: engramv1.Credit_STATE_OK}, epoch)
	_, at = s.frame(epoch)
	assert.Equal(t, epoch.Add(2*time.Millisecond), at)
}

func TestSenderFlushLiftsLingerForWhatIsThere(t *testing.T) {
	s := attached()
	pushN(s, 1)
	s.flush()
	f, _ := s.frame(epoch)
	assert.Len(t, f.observations, 1)
	pushN(s, 1)
	f, _ = s.frame(epoch)
	assert.True(t, f.empty(), "what comes after the flush lingers")
}

func TestSenderKeepsAFrameWithinTheMessageLimit(t *testing.T) {
	s := attached()
	s.maxFrame = frameOverhead + 2*(100+itemOverhead)
	pushN(s, 3)
	f, _ := s.frame(epoch)
	assert.Len(t, f.observations, 2)
}

func TestSenderPutsAForgetInItsPlace(t *testing.T) {
	s := attached()
	pushN(s, 2)
	s.push(item{forget: &engramv1.ForgetTarget{MemoryIds: []string{"1"}}, bytes: 10, queued: epoch, pending: &Pending{}})
	pushN(s, 1)
	s.flush()
	var got []string
	for f, _ := s.frame(epoch); !f.empty(); f, _ = s.frame(epoch) {
		got = append(got, fmt.Sprintf("%d: %d observations, forget %v", f.first, len(f.observations), f.forget != nil))
	}
	assert.Equal(t, []string{"1: 2 observations, forget false", "3: 0 observations, forget true", "4: 1 observations, forget false"}, got)
}

func TestSenderObeysTheSequenceLimit(t *testing.T) {
	s := newSender()
	s.credit(&engramv1.Credit{SequenceLimit: 3}, epoch)
	pushN(s, 8)
	f, _ := s.frame(epoch)
	assert.Len(t, f.observations, 3)
	f, at := s.frame(epoch)
	assert.True(t, f.empty())
	assert.Zero(t, at, "only more credit helps")
	s.credit(&engramv1.Credit{SequenceLimit: 2}, epoch) // an old one: limits only grow
	s.credit(&engramv1.Credit{SequenceLimit: 4}, epoch)
	f, _ = s.frame(epoch)
	assert.Len(t, f.observations, 1)
}

func TestSenderObeysTheByteLimitAndResendsForFree(t *testing.T) {
	s := newSender()
	s.credit(&engramv1.Credit{SequenceLimit: 100, ByteLimit: 250}, epoch)
	pushN(s, 4)
	f, _ := s.frame(epoch)
	require.Len(t, f.observations, 2, "250 bytes hold two of 100")
	require.NoError(t, s.nack(1, 0, epoch))
	f, _ = s.frame(epoch)
	assert.Len(t, f.observations, 2)
}

func TestSenderWithAnItemLargerThanTheRestOfItsByteCreditDoesNotStall(t *testing.T) {
	s := newSender()
	s.credit(&engramv1.Credit{SequenceLimit: 100, ByteLimit: 150}, epoch)
	pushN(s, 2)
	s.flush()
	f, _ := s.frame(epoch)
	require.Len(t, f.observations, 1)
	f, _ = s.frame(epoch)
	require.True(t, f.empty(), "an ack may still raise the limit")
	require.NoError(t, s.settle(1, nil, ignore))
	f, _ = s.frame(epoch)
	assert.Len(t, f.observations, 1)
}

func TestSenderGoesBackAndWaits(t *testing.T) {
	s := attached()
	pushN(s, 8)
	s.frame(epoch)
	s.frame(epoch)
	require.NoError(t, s.nack(3, 40*time.Millisecond, epoch))
	f, at := s.frame(epoch)
	require.True(t, f.empty())
	require.Equal(t, epoch.Add(40*time.Millisecond), at)
	f, _ = s.frame(at)
	assert.Equal(t, uint64(3), f.first)
	assert.Equal(t, SessionStats{Sent: 12, Resent: 4, Nacked: 6}, s.stats)
}

func TestSenderBacksOffFromAServerThatRefusesWithoutSayingForHowLong(t *testing.T) {
	s := attached()
	pushN(s, 1)
	s.flush()
	var waits []time.Duration
	for range 4 {
		f, _ := s.frame(s.holdUntil)
		require.False(t, f.empty())
		require.NoError(t, s.nack(1, 0, epoch))
		waits = append(waits, s.holdUntil.Sub(epoch))
	}
	assert.Equal(t, []time.Duration{0, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}, waits)
}

func TestSenderWaitsWhileTheServerIsFull(t *testing.T) {
	s := attached()
	pushN(s, 4)
	s.credit(&engramv1.Credit{State: engramv1.Credit_STATE_BUFFER_FULL, RetryAfter: seconds(1)}, epoch)
	f, at := s.frame(epoch)
	assert.True(t, f.empty())
	assert.Equal(t, epoch.Add(time.Second), at)
}

func TestSenderTellsWhatWasRejected(t *testing.T) {
	s := attached()
	pushN(s, 4)
	s.frame(epoch)
	var told []string
	rejected := []RejectedError{{First: 4, Last: 4, Reason: "zero"}, {First: 1, Last: 2, Reason: "NaN", Field: "embedding"}}
	require.NoError(t, s.settle(4, rejected, func(it *item, refused *RejectedError) {
		told = append(told, fmt.Sprint(it.observe.GetMemoryId(), " ", refused))
	}))
	assert.Equal(t, []string{
		"1 engram: observation 1 rejected: embedding: NaN", "2 engram: observation 2 rejected: embedding: NaN",
		"3 <nil>", "4 engram: observation 4 rejected: zero",
	}, told)
	assert.Equal(t, uint64(1), s.stats.Committed)
	assert.Equal(t, uint64(3), s.stats.Rejected)
}

func TestSenderRefusesAServerThatKnowsMoreThanWasSent(t *testing.T) {
	s := attached()
	pushN(s, 4)
	s.frame(epoch)
	pushN(s, 1)
	assert.ErrorContains(t, s.settle(5, nil, ignore), "only 4 were sent")
	assert.ErrorContains(t, s.nack(6, 0, epoch), "only 4 were sent")
	assert.ErrorContains(t, s.resume(5, nil, ignore), "only 4 were sent")
	assert.Equal(t, uint64(5), s.last(), "nothing left the buffer")
}

func TestSenderRefusesAServerThatLostWhatItAcknowledged(t *testing.T) {
	s := attached()
	pushN(s, 4)
	s.frame(epoch)
	require.NoError(t, s.settle(3, nil, ignore))
	err := s.resume(2, nil, ignore)
	assert.ErrorIs(t, err, ErrServerBehind)
	assert.ErrorContains(t, err, "number 3 and now has only 2")
}

func TestSenderRefusesToResumeWithAServerThatTakesLess(t *testing.T) {
	s := attached()
	pushN(s, 1)
	s.maxFrame = 150
	assert.ErrorContains(t, s.resume(0, nil, ignore), "observation 1 has 100 bytes")
}

func TestSenderBoundsItsBuffer(t *testing.T) {
	s := newSender()
	s.bufferItems, s.bufferBytes = 3, 250
	assert.True(t, s.room(1000), "an empty buffer takes any")
	pushN(s, 2)
	assert.False(t, s.room(100), "bytes")
	assert.True(t, s.room(50))
	s.push(named(3, 10))
	assert.False(t, s.room(10), "items")
}

func TestSenderNeverGoesBackBehindWhatIsCommitted(t *testing.T) {
	s := attached()
	pushN(s, 4)
	s.frame(epoch)
	require.NoError(t, s.settle(3, nil, ignore))
	require.NoError(t, s.nack(2, 0, epoch)) // sent before the ack, received after it
	f, _ := s.frame(epoch)
	assert.Equal(t, uint64(4), f.first)
}

func TestSenderFreesTheBytesOfWhatIsSettled(t *testing.T) {
	s := attached()
	s.bufferBytes = 600
	pushN(s, 2)
	for range 5 {
		pushN(s, 4)
		require.False(t, s.room(1))
		s.frame(epoch)
		require.NoError(t, s.settle(s.committed+4, nil, ignore))
		require.Equal(t, 200, s.buffered(), "two of 100 are left")
	}
}

// model is a server that follows the protocol's rules, and everything that may go wrong around it. Frames travel in two
// pipes that a lost connection empties.
type model struct {
	s          *sender
	now        time.Time
	committed  []string // durable: survives anything
	accepted   []string // after committed, in memory: lost when the server restarts
	gapSaid    bool
	grant      uint64
	toServer   []frame
	toClient   []func(*sender) error
	pushed     uint64
	freedUpTo  uint64
	tooEarly   bool
	duplicates int
}

func (m *model) expected() uint64 { return uint64(len(m.committed)+len(m.accepted)) + 1 }

// deliver gives the server the next frame.
func (m *model) deliver(t *rapid.T) {
	f := m.toServer[0]
	m.toServer = m.toServer[1:]
	last := f.first + uint64(len(f.observations)) - 1
	require.LessOrEqual(t, last, m.grant, "sent beyond the credit")
	switch e := m.expected(); {
	case f.first > e:
		if !m.gapSaid {
			m.gapSaid = true
			m.sayNack(e, 0)
		}
	case rapid.Bool().Draw(t, "overloaded") && last >= e:
		m.gapSaid = true // the nack covers the gap that follows
		m.sayNack(e, time.Duration(rapid.IntRange(0, 20).Draw(t, "retry"))*time.Millisecond)
	default:
		m.duplicates += int(min(e-f.first, uint64(len(f.observations))))
		for i, o := range f.observations {
			if f.first+uint64(i) >= e {
				m.accepted = append(m.accepted, o.GetMemoryId())
				m.gapSaid = false
			}
		}
	}
}

func (m *model) sayNack(expected uint64, retry time.Duration) {
	at := m.now
	m.toClient = append(m.toClient, func(s *sender) error { return s.nack(expected, retry, at) })
}

// commit makes n more durable and, unless the ack is lost, says so.
func (m *model) commit(n int) {
	m.committed = append(m.committed, m.accepted[:n]...)
	m.accepted = m.accepted[n:]
	through := uint64(len(m.committed))
	m.grant = max(m.grant, through+6)
	grant, now := m.grant, m.now
	m.toClient = append(m.toClient, func(s *sender) error {
		s.credit(&engramv1.Credit{SequenceLimit: grant}, now)
		return s.settle(through, nil, m.freed)
	})
}

// storageFails takes back what is not durable.
func (m *model) storageFails() {
	if len(m.accepted) > 0 {
		m.accepted, m.gapSaid = nil, true
		m.sayNack(m.expected(), 0)
	}
}

// freed checks the promise about the buffer: nothing leaves it that is not durable.
func (m *model) freed(it *item, _ *RejectedError) {
	m.freedUpTo++
	if m.freedUpTo > uint64(len(m.committed)) || m.committed[m.freedUpTo-1] != it.observe.GetMemoryId() {
		m.tooEarly = true
	}
}

// reconnect loses both pipes; a restarted server also loses what was only in memory. In-flight ops of the old epoch are
// superseded in the journal, so the server always goes on at what is durable.
func (m *model) reconnect(t *rapid.T) {
	m.toServer, m.toClient, m.accepted, m.gapSaid = nil, nil, nil, false
	m.s.detach()
	through := uint64(len(m.committed))
	require.NoError(t, m.s.resume(through, nil, m.freed))
	m.grant = through + uint64(rapid.IntRange(0, 6).Draw(t, "grant"))
	m.s.credit(&engramv1.Credit{SequenceLimit: m.grant}, m.now)
}

func (m *model) check(t *rapid.T) {
	require.False(t, m.tooEarly, "freed before it was durable")
	require.Equal(t, m.freedUpTo, m.s.committed)
	require.Equal(t, m.pushed, m.s.last(), "an observation vanished")
	for i, id := range m.committed {
		require.Equal(t, strconv.Itoa(i+1), id, "out of order, doubled or lost")
	}
	require.Less(t, m.s.committed, m.s.next)
	require.LessOrEqual(t, m.s.next, m.s.last()+1)
}

func (m *model) step(t *rapid.T) {
	switch rapid.IntRange(0, 7).Draw(t, "step") {
	case 0, 1:
		for range rapid.IntRange(1, 6).Draw(t, "observations") {
			m.pushed++
			m.s.push(named(m.pushed, 1+int(m.pushed%90)))
		}
	case 2, 3:
		if f, at := m.s.frame(m.now); !f.empty() {
			m.toServer = append(m.toServer, f)
		} else if at.After(m.now) {
			m.now = at
		}
	case 4:
		if len(m.toServer) > 0 {
			m.deliver(t)
		}
	case 5:
		if len(m.accepted) > 0 {
			m.commit(rapid.IntRange(1, len(m.accepted)).Draw(t, "commit"))
		}
	case 6:
		if len(m.toClient) > 0 {
			say := m.toClient[0]
			m.toClient = m.toClient[1:]
			require.NoError(t, say(m.s))
		}
	case 7:
		rapid.SampledFrom([]func(){
			func() {}, func() {}, m.storageFails, func() { m.sayNack(m.expected(), 0) }, func() { m.reconnect(t) },
		}).Draw(t, "trouble")()
	}
	m.check(t)
}

// settleDown lets the server work without further trouble until all is committed.
func (m *model) settleDown(t *rapid.T) {
	m.reconnect(t)
	for range 10_000 {
		if m.s.committed == m.pushed {
			return
		}
		m.grant = max(m.grant, uint64(len(m.committed))+6)
		m.s.credit(&engramv1.Credit{SequenceLimit: m.grant}, m.now)
		for f, at := m.s.frame(m.now); !f.empty() || at.After(m.now); f, at = m.s.frame(m.now) {
			m.now = m.now.Add(max(at.Sub(m.now), 0))
			if !f.empty() {
				m.toServer = append(m.toServer, f)
			}
		}
		for len(m.toServer) > 0 {
			m.deliver(t)
		}
		m.commit(len(m.accepted))
		for _, say := range m.toClient {
			require.NoError(t, say(m.s))
		}
		m.toClient = nil
		m.check(t)
	}
	t.Fatalf("no end: %d of %d committed", m.s.committed, m.pushed)
}

func TestSenderAgainstAServerWithEveryTrouble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{s: newSender(), now: epoch}
		m.reconnect(t)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			m.step(t)
		}
		m.settleDown(t)
		require.Len(t, m.committed, int(m.pushed))
	})
}
