package index

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process runs items through the stage and returns what it sent on.
func process(t testing.TB, s *Stage, items ...session.Appended) []session.Applied {
	t.Helper()
	in, _ := graphtest.NewBatch(items...)
	port := graphtest.NewPort[session.Applied](1)
	require.NoError(t, s.Process(context.Background(), in, port))
	sent := port.Items()
	port.DeliverAll()
	return sent
}

// alive returns how many memories of a space are alive as published.
func alive(s *Stage, space string) uint64 {
	n, _ := s.service.Memories(space)
	return n
}

func ids(hits []memory.Hit) []string {
	out := []string{}
	for _, h := range hits {
		out = append(out, h.ID)
	}
	return out
}

func TestNothingIsFoundBeforeItIsDurableAndAllIsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		f := newFate()
		in, outcomes := graphtest.NewBatch(j.append(at("x"), f, observe("one", 1, 0), rejected(), observe("two", 0, 1))...)
		port := graphtest.NewPort[session.Applied](1)
		processed := make(chan error)
		go func() { processed <- s.Process(context.Background(), in, port) }()

		synctest.Wait()
		require.Equal(t, memory.Version(0), s.service.Published("x"))
		require.Empty(t, port.Items())
		result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 0}})
		require.NoError(t, err)
		require.Empty(t, result.Hits)

		f.decide(nil)
		require.NoError(t, <-processed)
		require.Len(t, port.Items(), 3)
		port.DeliverAll()
		require.Equal(t, 3, outcomes.Settled())
		require.Equal(t, memory.Version(3), s.service.Published("x"))
		require.Equal(t, uint64(2), alive(s, "x"))
		result, err = s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 0}})
		require.NoError(t, err)
		require.Equal(t, []string{"one", "two"}, ids(result.Hits))
		require.Equal(t, []float32{1, 0}, []float32{result.Hits[0].Score, result.Hits[1].Score})
	})
}

func TestWhatIsReadyDoesNotWaitForTheNextSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		slow := newFate()
		items := j.append(at("x"), durable(), observe("one", 1, 0), observe("two", 0, 1))
		items = append(items, j.append(at("x"), slow, observe("three", 1, 1))...)
		in, _ := graphtest.NewBatch(items...)
		port := graphtest.NewPort[session.Applied](1)
		processed := make(chan error)
		go func() { processed <- s.Process(context.Background(), in, port) }()
		synctest.Wait()
		require.Len(t, port.Items(), 2)
		require.Equal(t, memory.Version(2), s.service.Published("x"))
		slow.decide(nil)
		require.NoError(t, <-processed)
		require.Len(t, port.Items(), 3)
		port.DeliverAll()
	})
}

func TestAFailedAppendIsNackedFromTheFirstNumberThatIsFree(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	from, other := at("x"), at("y")
	from.Window, other.Window = session.NewWindow(100), session.NewWindow(3)
	failed := lost()
	items := j.append(from, failed, observe("one", 1, 0), observe("two", 0, 1))
	items = append(items, j.append(other, failed, observe("one", 1, 0))...)
	items[2].Sequence = 9 // the session has been stepped back to 3 already
	in, outcomes := graphtest.NewBatch(items...)
	port := graphtest.NewPort[session.Applied](1)
	require.NoError(t, s.Process(context.Background(), in, port))
	require.Empty(t, port.Items())
	for i, expected := range []uint64{1, 1, 3} {
		var refusal *session.Refusal
		require.ErrorAs(t, outcomes.Err(i), &refusal)
		require.ErrorIs(t, refusal, errDisk)
		require.Equal(t, fault.StorageUnavailable, fault.KindOf(refusal))
		require.Equal(t, expected, refusal.Expected)
	}
}

// A hard stop leaves ops unapplied that may be durable. Whatever comes after them must not be applied on top of a hole.
func TestAHoleLeftByAHardStopIsFilledFromTheJournal(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	stopped, stop := context.WithCancel(context.Background())
	stop()
	in, outcomes := graphtest.NewBatch(j.append(at("x"), newFate(), observe("one", 1, 0))...)
	err := s.Process(stopped, in, graphtest.NewPort[session.Applied](1))
	require.Equal(t, fault.Canceled, fault.KindOf(err))
	require.Zero(t, outcomes.Settled(), "left to the engine")
	in.RejectLive(err)

	replays := j.replayed()
	sent := process(t, s, j.append(at("x"), durable(), observe("two", 0, 1), forget("one", "none"))...)
	require.Equal(t, []uint64{0, 1}, []uint64{sent[0].Matched, sent[1].Matched})
	require.Equal(t, replays+1, j.replayed())
	require.Equal(t, memory.Version(3), s.service.Published("x"))
	found, missing, err := s.service.Get(context.Background(), "x", []string{"one", "two"}, false, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"two"}, ids(found))
	require.Equal(t, []string{"one"}, missing)
}

func TestAFailingReceiverDoesNotKeepTheRestFromBeingApplied(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	items := j.append(at("x"), durable(), observe("one", 1, 0))
	items = append(items, j.append(at("x"), lost(), observe("void", 1, 0))...)
	items[1].Version = 2
	in, _ := graphtest.NewBatch(items...)
	port := graphtest.NewPort[session.Applied](1)
	broken := errors.New("receiver gone")
	port.OnSend = func(int, *graph.Batch[session.Applied]) error { return broken }
	require.ErrorIs(t, s.Process(context.Background(), in, port), broken)
	require.Equal(t, memory.Version(1), s.service.Published("x"))
}

func TestOneSpacesTroubleIsRebuiltFromTheJournal(t *testing.T) {
	for failures := 1; failures <= rebuildTries; failures++ { // the apply and failures-1 rebuilds
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		process(t, s, j.append(at("x"), durable(), observe("one", 1, 0), observe("two", 0, 1))...)
		left := failures
		j.failReads(func(memory.Ordinal) error {
			if left--; left >= 0 {
				panic("a bug")
			}
			return nil
		})
		sent := process(t, s, j.append(at("x"), durable(), forget("one"), observe("two", 2, 2))...)
		require.Equal(t, uint64(1), sent[0].Matched)
		result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 1}, IncludeEmbedding: true})
		require.NoError(t, err)
		require.Equal(t, []string{"two"}, ids(result.Hits))
		require.Equal(t, []float32{2, 2}, result.Hits[0].Embedding, "as it was sent, not as it is stored")
	}
}

func TestASpaceThatCannotBeRebuiltIsDegradedAndSaysSo(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	process(t, s, j.append(at("x"), durable(), observe("one", 1, 0))...)
	process(t, s, j.append(at("y"), durable(), observe("one", 1, 0))...)
	j.failReads(func(o memory.Ordinal) error {
		if o == 1 {
			return fault.New(fault.Corrupt, "record %d fails its checksum", o)
		}
		return nil
	})
	sent := process(t, s, j.append(at("x"), durable(), observe("one", 0, 1))...)
	require.Len(t, sent, 1, "it is durable, so it is not refused")
	sent = process(t, s, j.append(at("x"), durable(), forget("one"))...)
	require.Len(t, sent, 1)

	ctx := context.Background()
	_, recall := s.service.Recall(ctx, "x", memory.Query{Vector: []float32{1, 0}})
	_, _, get := s.service.Get(ctx, "x", []string{"one"}, false, nil)
	_, match := s.service.Match(ctx, "x", forget("one").Forget)
	for _, err := range []error{recall, get, match, s.service.WaitPublished(ctx, "x", 1)} {
		require.Equal(t, fault.Corrupt, fault.KindOf(err))
		require.Equal(t, "SPACE_DEGRADED", fault.As(err).Reason)
		require.ErrorContains(t, err, `space "x"`)
		require.ErrorContains(t, err, "fails its checksum")
	}
	result, err := s.service.Recall(ctx, "y", memory.Query{Vector: []float32{1, 0}})
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, ids(result.Hits))

	j.failReads(nil)
	healed := openStage(t, j, roomy)
	result, err = healed.service.Recall(ctx, "x", memory.Query{Vector: []float32{1, 0}})
	require.NoError(t, err)
	require.Empty(t, result.Hits)
	require.Equal(t, memory.Version(3), result.Snapshot)
}

// What the journal cannot read when the server starts degrades the space; the others are served.
func TestOpenDegradesOnlyTheSpaceThatCannotBeBuilt(t *testing.T) {
	j := newFakeJournal()
	j.append(at("x"), durable(), observe("one", 1, 0), observe("one", 0, 1))
	j.append(at("y"), durable(), observe("one", 1, 0), observe("one", 0, 1))
	j.failReads(func(o memory.Ordinal) error {
		if o == 1 {
			return errDisk
		}
		return nil
	})
	s := openStage(t, j, roomy)
	_, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 0}})
	require.Equal(t, "SPACE_DEGRADED", fault.As(err).Reason)
	require.ErrorIs(t, err, errDisk)
	require.Equal(t, uint64(1), alive(s, "y"))
	got := s.service.Stats()
	require.Equal(t, [3]int{0, 1, 1}, [3]int{got.GraphedSpaces, got.ScannedSpaces, got.DegradedSpaces})
}

func TestOpenFailsWithTheJournal(t *testing.T) {
	j := newFakeJournal()
	j.append(at("x"), durable(), observe("one", 1, 0))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := newStage(plain, nil, graph.NewHandle[Journal](j), graph.NewHandle[Limits](roomy), nowhere)
	require.ErrorIs(t, s.Open(ctx), context.Canceled)
	_, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 0}})
	require.Equal(t, fault.Unavailable, fault.KindOf(err))
}

// The append that fixed a space's dimension can fail, and the next one fix another.
func TestADimensionThatWasRolledBackLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		undo := j.savepoint()
		f := newFate()
		in, _ := graphtest.NewBatch(j.append(at("x"), f, observe("one", 1, 0, 0))...)
		processed := make(chan error)
		go func() { processed <- s.Process(context.Background(), in, graphtest.NewPort[session.Applied](1)) }()
		synctest.Wait() // prepared with three components
		undo()
		f.decide(errDisk)
		require.NoError(t, <-processed)

		_, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 0, 0}})
		require.Equal(t, fault.NotFound, fault.KindOf(err))
		process(t, s, j.append(at("x"), durable(), observe("one", 0, 1))...)
		result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{0, 1}})
		require.NoError(t, err)
		require.Equal(t, []string{"one"}, ids(result.Hits))
		require.Equal(t, 1, j.replayed(), "only that of Open")
	})
}

// Nothing should come twice. If it does, it must not take readers back.
func TestWhatComesTwiceChangesNothing(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	items := j.append(at("x"), durable(), observe("one", 1, 0), forget("one"), observe("two", 0, 1))
	process(t, s, items...)
	sent := process(t, s, items[:2]...)
	require.Equal(t, uint64(1), sent[1].Matched)
	require.Equal(t, memory.Version(3), s.service.Published("x"))
	result, err := s.service.Recall(context.Background(), "x", memory.Query{Vector: []float32{1, 1}})
	require.NoError(t, err)
	require.Equal(t, []string{"two"}, ids(result.Hits))
}

// A space may be described only once it is durable: that is no reason to rebuild it.
func TestASpaceThatIsDescribedLateIsPreparedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFakeJournal()
		s := openStage(t, j, roomy)
		f := newFate()
		in, _ := graphtest.NewBatch(j.append(at("x"), f, observe("one", 1, 0), observe("two", 0, 1))...)
		described := j.spaces
		j.spaces = map[string]memory.Space{}
		port := graphtest.NewPort[session.Applied](1)
		processed := make(chan error)
		go func() { processed <- s.Process(context.Background(), in, port) }()
		synctest.Wait()
		j.spaces = described
		f.decide(nil)
		require.NoError(t, <-processed)
		port.DeliverAll()
		require.Equal(t, uint64(2), alive(s, "x"))
		require.Equal(t, 1, j.replayed(), "only that of Open")
	})
}

func TestForgottenIDsLeaveTheTable(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	for i := range 40 * leastIDs {
		process(t, s, j.append(at("x"), durable(), observe(numbered(i), 1, 0), forget(numbered(i)))...)
	}
	require.Len(t, s.index.space("x").w.ids.slots, leastIDs)
}

func TestAHalfPreparedChangeLeavesNothingBehind(t *testing.T) {
	j := newFakeJournal()
	s := openStage(t, j, roomy)
	items := j.append(at("x"), durable(), observe("one", 1, 0), observe("odd", 1, 0, 0))
	c := &change{space: s.index.ensure("x", 1)}
	for i := range items {
		c.steps = append(c.steps, step{op: &items[i].Op.Op, version: items[i].Version, ordinal: items[i].Ordinal})
	}
	s.index.prepare(c)
	require.ErrorContains(t, c.err, "3 components")
	c.space.w.tier.Commit()
	require.Zero(t, c.space.w.tier.Len())
}
