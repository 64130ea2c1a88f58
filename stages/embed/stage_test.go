package embed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// words is an embedder for tests: a text's vector holds its length. What its texts begin with makes it misbehave.
type words struct {
	gate chan struct{} // closed, or nil, lets "slow" texts pass

	mu   sync.Mutex
	jobs [][]string // guarded by mu
}

func (w *words) Embedder() memory.Embedder        { return w }
func (*words) Kind() string                       { return "words" }
func (*words) Identity() string                   { return "words-1" }
func (*words) Dimension() int                     { return 1 }
func (*words) Probe(context.Context) (int, error) { return 1, nil }

var errDown = fault.New(fault.Unavailable, "nobody there").WithReason("EMBEDDER_UNAVAILABLE").WithRetryAfter(3 * time.Second)

func (w *words) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	w.mu.Lock()
	w.jobs = append(w.jobs, texts)
	w.mu.Unlock()
	vectors, bad := make([][]float32, len(texts)), memory.BadTexts{}
	for i, text := range texts {
		vectors[i] = []float32{float32(len(text))}
		switch word, _, _ := strings.Cut(text, " "); {
		case word == "slow" && w.gate != nil:
			select {
			case <-w.gate:
			case <-ctx.Done():
				return nil, fault.Wrap(fault.Canceled, ctx.Err(), "gave up")
			}
		case word == "down":
			return nil, errDown
		case word == "panic":
			panic("as asked")
		case word == "bad":
			vectors[i], bad[i] = nil, "it is bad"
		}
	}
	if len(bad) > 0 {
		return vectors, bad
	}
	return vectors, nil
}

// client numbers the ops of a session.
type client struct {
	att  *session.Attachment
	next uint64
}

func newClient(name string) *client {
	return &client{att: &session.Attachment{SessionID: name, Space: "notes"}, next: 1}
}

// text is the session's next op; an empty one brings a vector.
func (c *client) text(content string) session.Op {
	op := session.Op{From: c.att, Op: memory.Op{Kind: memory.OpObserve, Sequence: c.next, Observe: &memory.Observation{Content: content}}}
	if content == "" {
		op.Observe.Vector = []float32{-1}
	}
	c.next++
	return op
}

// bench is a stage on a port, with a budget of so many items.
type bench struct {
	t     *testing.T
	words *words
	stage *stage
	port  *graphtest.Port[session.Op]
}

func newBench(t *testing.T, workers, budget int) *bench {
	b := &bench{t: t, words: &words{}, port: graphtest.NewPort[session.Op](1)}
	b.stage = newStage(Config{Workers: workers}, graph.NewBudget(graph.Window{Items: budget, Bytes: 1 << 30}),
		graph.NewHandle[Embedding](b.words), slog.New(slog.DiscardHandler))
	return b
}

func (b *bench) come(ops ...session.Op) *graphtest.Outcomes {
	in, outcomes := graphtest.NewBatch(ops...)
	require.NoError(b.t, b.stage.Process(b.t.Context(), in, b.port))
	return outcomes
}

// flush waits for the workers that can go on, and flushes.
func (b *bench) flush() time.Duration {
	synctest.Wait()
	wait, err := b.stage.Flush(b.t.Context(), graph.FlushStarved, b.port)
	require.NoError(b.t, err)
	return wait
}

// sent names what was sent, as "session/number".
func (b *bench) sent() (all []string) {
	for _, op := range b.port.Items() {
		all = append(all, fmt.Sprintf("%s/%d", op.From.SessionID, op.Sequence))
	}
	return all
}

// during runs a test in a bubble of time, and closes its stage.
func during(t *testing.T, workers, budget int, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, workers, budget)
		defer func() { require.NoError(t, b.stage.Close()) }()
		test(b)
	})
}

func TestTextsGetVectors(t *testing.T) {
	during(t, 2, 100, func(b *bench) {
		a := newClient("a")
		rejected := session.Op{From: a.att, Op: memory.Op{Kind: memory.OpRejected, Sequence: 4, Rejection: &memory.Rejection{}}}
		outcomes := b.come(a.text("tea"), a.text(""), a.text("bad one"), rejected)
		assert.Empty(t, b.sent())
		b.flush()
		ops := b.port.Items()
		require.Equal(t, []string{"a/1", "a/2", "a/3", "a/4"}, b.sent())
		assert.Equal(t, []float32{3}, ops[0].Observe.Vector)
		assert.Equal(t, "words-1", ops[0].Embedder)
		assert.Equal(t, []float32{-1}, ops[1].Observe.Vector, "as it came")
		assert.Empty(t, ops[1].Embedder)
		assert.Equal(t, memory.OpRejected, ops[2].Kind)
		assert.Equal(t, &memory.Rejection{Code: fault.InvalidArgument.Code(), Field: "content", Reason: "it is bad"}, ops[2].Rejection)
		b.port.DeliverAll()
		for i, want := range []session.Verdict{session.Accepted, session.Accepted, session.Rejected, session.Accepted} {
			outcome, _ := outcomes.Of(i)
			verdict, _ := session.VerdictOf(outcome.Mark, outcome.Err)
			assert.Equal(t, want, verdict, "op %d", i+1)
		}
		assert.Zero(t, b.flush())
	})
}

func TestVectorsPassAtOnceUnlessTheirSessionWaits(t *testing.T) {
	during(t, 2, 100, func(b *bench) {
		b.words.gate = make(chan struct{})
		slow, quick := newClient("slow"), newClient("quick")
		b.come(quick.text(""))
		b.come(slow.text("slow text"), quick.text(""), quick.text(""), slow.text(""))
		b.come(slow.text(""), quick.text("quick text"))
		assert.Equal(t, []string{"quick/1", "quick/2", "quick/3"}, b.sent())
		wait := b.flush()
		assert.Equal(t, []string{"quick/1", "quick/2", "quick/3", "quick/4"}, b.sent())
		assert.Positive(t, wait)
		close(b.words.gate)
		for b.flush() > 0 {
		}
		assert.Equal(t, []string{"quick/1", "quick/2", "quick/3", "quick/4", "slow/1", "slow/2", "slow/3"}, b.sent())
	})
}

func TestItLooksMoreRarelyTheLongerItWaits(t *testing.T) {
	during(t, 1, 100, func(b *bench) {
		b.words.gate = make(chan struct{})
		b.come(newClient("a").text("slow"))
		assert.Equal(t, minLook, b.flush())
		time.Sleep(80 * time.Millisecond)
		assert.Equal(t, 10*time.Millisecond, b.flush())
		time.Sleep(time.Minute)
		assert.Equal(t, maxLook, b.flush())
		close(b.words.gate)
		b.flush()
	})
}

func TestWhoWaitsLongestIsNext(t *testing.T) {
	during(t, 1, 10_000, func(b *bench) {
		b.words.gate = make(chan struct{})
		first, second := newClient("first"), newClient("second")
		b.come(first.text("slow"))
		for range 2 * maxJobOps {
			b.come(first.text("more"))
		}
		b.come(second.text("tea"))
		close(b.words.gate)
		for range 3 {
			b.flush()
		}
		assert.Equal(t, "second/1", b.sent()[1])
		for b.flush() > 0 {
		}
		assert.Len(t, b.sent(), 2+2*maxJobOps)
		for _, texts := range b.words.jobs {
			assert.LessOrEqual(t, len(texts), maxJobOps)
		}
	})
}

func TestAFailingEmbedderRefusesTheLine(t *testing.T) {
	during(t, 1, 100, func(b *bench) {
		b.words.gate = make(chan struct{})
		a, other := newClient("a"), newClient("b")
		a.next = 7
		outcomes := b.come(a.text("slow"), a.text("down"), a.text(""))
		behind := b.come(a.text(""), other.text(""))
		close(b.words.gate)
		b.flush()
		assert.Equal(t, []string{"b/1"}, b.sent())
		for i, err := range []error{outcomes.Err(0), outcomes.Err(1), outcomes.Err(2), behind.Err(0)} {
			verdict, refusal := session.VerdictOf(0, err)
			require.Equal(t, session.Nacked, verdict, "op %d", i)
			assert.Equal(t, session.NackStorageUnavailable, refusal.Nack)
			assert.Equal(t, uint64(7), refusal.Expected)
			assert.Equal(t, 3*time.Second, refusal.Retry)
			assert.True(t, refusal.Late)
			assert.ErrorIs(t, refusal, errDown)
		}
		b.come(a.text("tea"))
		b.flush()
		assert.Equal(t, []string{"b/1", "a/11"}, b.sent(), "what comes later is the journal's to refuse")
	})
}

// A client that was told to go back may have sent lower numbers again behind what was on its way.
func TestARefusalGoesBackToTheLowestNumber(t *testing.T) {
	during(t, 1, 100, func(b *bench) {
		b.words.gate = make(chan struct{})
		a := newClient("a")
		a.next = 5
		first := b.come(a.text("slow"), a.text("down"))
		a.next = 2
		b.come(a.text("tea"))
		close(b.words.gate)
		b.flush()
		_, refusal := session.VerdictOf(0, first.Err(0))
		assert.Equal(t, uint64(2), refusal.Expected)
	})
}

func TestABugOfTheEmbedderAborts(t *testing.T) {
	during(t, 1, 100, func(b *bench) {
		outcomes := b.come(newClient("a").text("panic"))
		b.flush()
		verdict, refusal := session.VerdictOf(0, outcomes.Err(0))
		assert.Equal(t, session.Aborted, verdict)
		assert.ErrorContains(t, refusal, "as asked")
	})
}

func TestWhatThereIsNoRoomForIsRefused(t *testing.T) {
	during(t, 1, 8*budgetHoldParts, func(b *bench) { // room for 8
		b.words.gate = make(chan struct{})
		a, call, quick := newClient("a"), newClient("call"), newClient("quick")
		call.att.Unary = true
		b.come(a.text("slow"), a.text("1"), a.text("2"), a.text("3"), a.text("4"))
		whole := b.come(call.text("1"), call.text("2"), call.text("3"), call.text("4"))
		for i := range 4 {
			assert.Error(t, whole.Err(i), "a call's are taken whole or not at all")
		}
		part := b.come(a.text("5"), a.text("6"), a.text("7"), a.text("8"), quick.text(""))
		for i := range 5 {
			_, settled := part.Of(i)
			assert.Equal(t, i == 3, settled, "op %d", i)
		}
		verdict, refusal := session.VerdictOf(0, part.Err(3))
		assert.Equal(t, session.Nacked, verdict)
		assert.Equal(t, session.NackResourceExhausted, refusal.Nack)
		assert.Equal(t, uint64(9), refusal.Expected)
		assert.InDelta(t, 1, refusal.Fill, 1e-9)
		assert.Equal(t, fullRetry, refusal.Retry)
		assert.Equal(t, []string{"quick/1"}, b.sent())
		close(b.words.gate)
		for b.flush() > 0 {
		}
		assert.Len(t, b.sent(), 9)
	})
}

func TestTheDrainWaitsForEmbedders(t *testing.T) {
	during(t, 1, 100, func(b *bench) {
		b.words.gate = make(chan struct{})
		time.AfterFunc(time.Second, func() { close(b.words.gate) })
		b.come(newClient("a").text("slow"), newClient("b").text("slow"))
		_, err := b.stage.Flush(b.t.Context(), graph.FlushDrain, b.port)
		require.NoError(t, err)
		assert.Equal(t, []string{"a/1", "b/1"}, b.sent())
	})
}

func TestTheDrainDoesNotWaitForEver(t *testing.T) {
	during(t, 1, 100, func(b *bench) {
		b.words.gate = make(chan struct{})
		outcomes := b.come(newClient("a").text("slow"), newClient("b").text("slow"))
		began := time.Now()
		_, err := b.stage.Flush(b.t.Context(), graph.FlushDrain, b.port)
		require.NoError(t, err)
		assert.Equal(t, drainPatience, time.Since(began))
		for i := range 2 {
			verdict, refusal := session.VerdictOf(0, outcomes.Err(i))
			assert.Equal(t, session.Nacked, verdict)
			assert.Equal(t, fault.Unavailable, fault.KindOf(refusal))
			assert.ErrorContains(t, refusal, "the server stops")
		}
		assert.Empty(t, b.sent())
	})
}

func TestVerify(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Ordered: true}, func(d graph.Deps) graphtest.Subject[session.Op, session.Op] {
		clients := []*client{newClient("a"), newClient("b"), newClient("c")}
		last := map[*session.Attachment]uint64{}
		return graphtest.Subject[session.Op, session.Op]{
			Stage: newStage(Config{Workers: 2}, graph.NewBudget(graph.Window{Items: 160, Bytes: 1 << 20}),
				graph.NewHandle[Embedding](&words{}), d.Logger),
			Batch: func(t *rapid.T) []session.Op {
				ops := make([]session.Op, rapid.IntRange(1, 12).Draw(t, "count"))
				for i := range ops {
					c := rapid.SampledFrom(clients).Draw(t, "client")
					ops[i] = c.text(rapid.SampledFrom([]string{"", "", "tea", "bad", "down"}).Draw(t, "text"))
				}
				return ops
			},
			Sent: func(_ int, b *graph.Batch[session.Op]) {
				for _, op := range b.Items {
					require.Greater(t, op.Sequence, last[op.From], "never reorders a session")
					last[op.From] = op.Sequence
					require.False(t, lacksVector(&op))
				}
			},
		}
	})
}

func TestRegister(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	kind := r.Lookup(graph.RoleStage, Kind)
	require.NotNil(t, kind)
	assert.NotEmpty(t, kind.Doc.Summary)
	for workers, good := range map[int]bool{0: false, 1: true, mostWorkers: true, mostWorkers + 1: false} {
		config := Config{Workers: workers}
		found := 0
		config.Check(func(field, _, _ string) { found++; assert.Equal(t, "workers", field) })
		assert.Equal(t, good, found == 0, "%d workers", workers)
	}
}

// TestACallLargerThanTheRoomPasses whole, once nothing else waits: half of it would be refused however often it is repeated.
func TestACallLargerThanTheRoomPasses(t *testing.T) {
	during(t, 2, 80, func(b *bench) { // room for 10
		other, call := newClient("a"), newClient("call")
		call.att.Unary = true
		var ops []session.Op
		for i := range 20 {
			ops = append(ops, call.text(fmt.Sprintf("text %d", i)))
		}
		b.come(other.text("first"))
		refused := b.come(ops...)
		b.flush()
		require.Equal(t, []string{"a/1"}, b.sent())
		require.Equal(t, len(ops), refused.Settled())
		b.come(ops...)
		b.flush()
		assert.Len(t, b.sent(), 1+len(ops))
	})
}
