package journal

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

type testFolder struct{}

func (testFolder) JournalDir() string { return testDir }

type testPolicy struct{}

func (testPolicy) DetachTTL() time.Duration { return time.Hour }
func (testPolicy) MaxDetached() int         { return 100 }

type testLimits struct{}

func (testLimits) SpaceLimit() int { return 100 }

func testStage(d graph.Deps) *Stage {
	return &Stage{
		config: Config{Store: StoreEmbedded, Fsync: FsyncAlways, Segment: 64 << 10}, logger: d.Logger, fs: vfs.NewMem(), store: &Store{},
		dir: graph.NewHandle[DataDir](testFolder{}), policy: graph.NewHandle[SessionPolicy](testPolicy{}),
		limits: graph.NewHandle[Limits](testLimits{}),
	}
}

// calls draws batches of unary calls: whole ones, gaps, repeats and rejections. Their sessions need no opening.
func calls() func(t *rapid.T) []session.Op {
	next := map[string]uint64{}
	return func(t *rapid.T) (ops []session.Op) {
		for range rapid.IntRange(1, 4).Draw(t, "runs") {
			id := rapid.SampledFrom([]string{"u1", "u2", "r3"}).Draw(t, "call")
			from := &session.Attachment{SessionID: id, Space: "faces", Unary: true, Remember: id == "r3"}
			first := max(1, int(next[id])+1+rapid.IntRange(-2, 1).Draw(t, "from expected"))
			n := rapid.IntRange(1, 5).Draw(t, "ops")
			ops = append(ops, observations(from, uint64(first), n, rapid.IntRange(2, 3).Draw(t, "dimension"))...)
			ops = append(ops, rejection(from, uint64(first+n), "bad"))
			next[id] = max(next[id], uint64(first+n))
		}
		return ops
	}
}

func TestStageKeepsTheContract(t *testing.T) {
	graphtest.VerifyStage(t, graph.Traits{Ordered: true}, func(d graph.Deps) graphtest.Subject[session.Op, session.Appended] {
		return graphtest.Subject[session.Op, session.Appended]{
			Stage: testStage(d), Batch: calls(),
			Sent: func(_ int, b *graph.Batch[session.Appended]) {
				for i := range b.Items {
					<-b.Items[i].Durable.Done()
				}
			},
		}
	})
}

// openedStage returns an open stage and its store.
func openedStage(t *testing.T) (*Stage, *Store) {
	s := testStage(graph.Deps{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, s.Open(context.Background()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, s.Exports()[0].(*Store)
}

// A batch of several sessions: known ops, a gap and a fenced session are refused, each with its own reason, the rest goes
// on in order with its versions; what the journal itself rejects is marked.
func TestProcessSplitsABatch(t *testing.T) {
	stage, store := openedStage(t)
	a, _ := attached(t, store, "faces")
	b, g := attached(t, store, "faces")
	stored(t, store, observations(a, 1, 2, 3)...)
	fenced := attachment(g, "faces")
	_, err := store.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token})
	require.NoError(t, err)
	b.Epoch = 2

	items := append(observations(a, 2, 2, 3), // 0 known, 1 new
		observation(b, 1, 7),      // 2 of another dimension
		observation(fenced, 2, 3), // 3 fenced
		observation(a, 9, 3),      // 4 behind a gap
		forget(a, 4, "x"),         // 5 new
		observation(b, 2, 3))      // 6 new
	in, outcomes := graphtest.NewBatch(items...)
	port := graphtest.NewPort[session.Appended](1)
	require.NoError(t, stage.Process(context.Background(), in, port))

	sent := port.Sent()
	require.Len(t, sent, 1)
	var numbers []uint64
	for i, item := range sent[0].Batch.Items {
		numbers = append(numbers, item.Sequence)
		require.EqualValues(t, 3+i, item.Version)
		require.EqualValues(t, 3+i, item.Ordinal)
		require.NoError(t, await(context.Background(), item.Durable))
	}
	require.Equal(t, []uint64{3, 1, 4, 2}, numbers)
	require.Equal(t, memory.OpRejected, sent[0].Batch.Items[1].Kind)
	port.DeliverAll()

	verdicts := make([]session.Verdict, len(items))
	for i := range items {
		outcome, _ := outcomes.Of(i)
		verdicts[i], _ = session.VerdictOf(outcome.Mark, outcome.Err)
	}
	require.Equal(t, []session.Verdict{
		session.Duplicate, session.Accepted, session.Rejected, session.Superseded, session.Nacked, session.Accepted, session.Accepted,
	}, verdicts)
	_, refusal := session.VerdictOf(0, outcomes.Err(4))
	require.EqualValues(t, 4, refusal.Expected)
	require.Len(t, replayed(t, store), 6)
}

// Process does not wait for the disk.
func TestProcessDoesNotWaitForTheSync(t *testing.T) {
	stage, _ := openedStage(t)
	from := &session.Attachment{SessionID: "u1", Space: "faces", Unary: true}
	port := graphtest.NewPort[session.Appended](1)
	for i := range uint64(50) {
		in, _ := graphtest.NewBatch(observations(from, 1+i*20, 20, 3)...)
		require.NoError(t, stage.Process(context.Background(), in, port))
	}
	sent := port.Sent()
	require.Len(t, sent, 50)
	last := sent[49].Batch.Items[19]
	require.NoError(t, await(context.Background(), last.Durable))
	require.EqualValues(t, 1000, last.Version)
	port.DeliverAll()
}

func TestSettingsAreChecked(t *testing.T) {
	check := func(c Config) (fields []string) {
		c.Check(func(field, message, hint string) {
			require.NotEmpty(t, message)
			require.NotEmpty(t, hint)
			fields = append(fields, field)
		})
		return fields
	}
	require.Empty(t, check(defaults()))
	require.Equal(t, []string{"store", "fsync", "segment"}, check(Config{Store: "jetstream", Fsync: "interval", Segment: 1}))
	require.Equal(t, []string{"segment"}, check(Config{Store: StoreEmbedded, Fsync: FsyncAlways, Segment: 1 << 40}))
}

// A damaged folder stops the start and names the file.
func TestOpenStopsAtDamage(t *testing.T) {
	stage := testStage(graph.Deps{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, stage.Open(context.Background()))
	from := &session.Attachment{SessionID: "u1", Space: "faces", Unary: true}
	stored(t, stage.store, observations(from, 1, 5, 3)...)
	require.NoError(t, stage.Close())
	fs := stage.fs.(*vfs.MemFS)
	path := fs.PathJoin(testDir, "00000000000000000001.seg")
	b, err := fs.UnsafeGetFileDataBuffer(path)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	stage.store = &Store{}
	err = stage.Open(context.Background())
	require.Equal(t, fault.Corrupt, fault.KindOf(err))
	require.Equal(t, path, fault.As(err).Subject)
}
