package journal

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// acked is what the clients of a scripted run know to be committed, by session.
type acked struct {
	mu        sync.Mutex
	committed map[string]uint64        // guarded by mu
	grants    map[string]session.Grant // guarded by mu: that the client has been given
	ended     map[string]session.Grant // guarded by mu: that an operator has been told are over
}

// end notes that a session is being ended, so that nobody knows whether it is there, until told is called.
func (a *acked) end(g session.Grant) (told func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.grants, g.SessionID)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ended[g.SessionID] = g
	}
}

func newAcked() *acked {
	return &acked{committed: map[string]uint64{}, grants: map[string]session.Grant{}, ended: map[string]session.Grant{}}
}

func (a *acked) note(g session.Grant, committed uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grants[g.SessionID] = g
	a.committed[g.SessionID] = committed
}

func (a *acked) snapshot() *acked {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := newAcked()
	maps.Copy(c.ended, a.ended)
	for id, g := range a.grants {
		c.grants[id], c.committed[id] = g, a.committed[id]
	}
	return c
}

// At every write and sync of a run the machine dies, with none, some or all of what was not synced on disk. Every session
// resumes where its client was told or further, and every op up to there is stored exactly once, in order, byte-equal.
func TestCrashAtEveryWriteAndSync(t *testing.T) {
	type crash struct {
		fs  *vfs.MemFS
		was *acked
	}
	var crashes []crash
	mem := vfs.NewCrashableMem()
	known := newAcked()
	var mu sync.Mutex
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		for _, percent := range []int{0, 50, 100} {
			was := known.snapshot()
			cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(len(crashes)), 7))}
			crashes = append(crashes, crash{mem.CrashClone(cfg), was})
		}
		return nil
	}))
	script(t, mustOpen(t, testOptions(fs)), known)
	require.Greater(t, len(crashes), 100)
	for i, c := range crashes {
		checkCrash(t, fmt.Sprintf("crash %d", i), c.fs, c.was)
	}
}

// script is a run of two spaces and three sessions with resumes, rejections, forgets and an end.
func script(t *testing.T, s *Store, known *acked) {
	a, ga := attached(t, s, "faces")
	known.note(ga, 0)
	b, gb := attached(t, s, "faces")
	known.note(gb, 0)
	c, gc := attached(t, s, "birds")
	known.note(gc, 0)
	for i := range uint64(12) {
		stored(t, s, observations(a, 3*i+1, 3, 8)...)
		known.note(ga, 3*i+3)
		pending := offered(s, observations(b, 2*i+1, 2, 8)...)
		stored(t, s, observation(c, i+1, 4))
		known.note(gc, i+1)
		require.NoError(t, await(context.Background(), pending.durable))
		known.note(gb, 2*i+2)
		if i%4 == 3 {
			r, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces", SessionID: ga.SessionID, Token: ga.Token, LastCommitted: 3})
			require.NoError(t, err)
			a = attachment(r, "faces")
		}
	}
	told := known.end(gb)
	st, err := s.DismissSession(context.Background(), gb.SessionID, nil)
	require.NoError(t, err)
	require.EqualValues(t, 24, st.Committed)
	told()
	stored(t, s, observation(c, 13, 4))
	require.NoError(t, s.Close())
}

// checkCrash opens what a crash has left and holds it against what the clients knew.
func checkCrash(t *testing.T, name string, fs vfs.FS, was *acked) {
	s := mustOpen(t, testOptions(fs))
	all := replayed(t, s)
	for id, g := range was.grants {
		space := g.Space.Name
		dimension := map[string]int{"faces": 8, "birds": 4}[space]
		r, err := s.OpenSession(context.Background(), session.OpenRequest{
			Space: space, SessionID: id, Token: g.Token, LastCommitted: was.committed[id],
		})
		require.NoError(t, err, name)
		require.GreaterOrEqual(t, r.Committed, was.committed[id], name)
		require.EqualValues(t, r.Committed, ofSession(t, all, attachment(r, space), dimension), name)
		stored(t, s, observation(attachment(r, space), r.Committed+1, dimension))
	}
	for id, g := range was.ended {
		_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: g.Space.Name, SessionID: id, Token: g.Token})
		require.Equal(t, fault.NotFound, fault.KindOf(err), name)
		require.Equal(t, 24, ofSession(t, all, attachment(g, g.Space.Name), 8), name)
	}
	require.NoError(t, s.Close())
}

// faulty is a file system of which the next operations of one kind can be made to fail.
type faulty struct {
	mu    sync.Mutex
	kind  errorfs.OpKind // guarded by mu
	left  int            // guarded by mu
	cause error          // guarded by mu
}

func (f *faulty) fail(kind errorfs.OpKind, times int, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kind, f.left, f.cause = kind, times, cause
}

func (f *faulty) MaybeError(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op.Kind != f.kind || f.left == 0 {
		return nil
	}
	f.left--
	return f.cause
}

func (f *faulty) String() string { return "faulty" }

// A failed write or sync acks nothing, changes nothing and is over when the disk is well again; what had reached the
// disk of it never comes back.
func TestFailedAppendChangesNothing(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileSyncData} {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(fmt.Sprint(kind, cause), func(t *testing.T) { failedAppend(t, kind, cause) })
		}
	}
}

func failedAppend(t *testing.T, kind errorfs.OpKind, cause error) {
	mem, disk := vfs.NewCrashableMem(), &faulty{}
	s := mustOpen(t, testOptions(errorfs.Wrap(mem, disk)))
	a, g := attached(t, s, "faces")
	stored(t, s, observations(a, 1, 2, 3)...)
	s.mu.Lock()
	s.settle()
	before := portraitOf(s.state)
	s.mu.Unlock()

	disk.fail(kind, 1, cause)
	lost := offered(s, observation(a, 3, 3), rejection(a, 4, "bad"))
	require.Nil(t, lost.refusal)
	elsewhere := offered(s, observation(&session.Attachment{SessionID: "u1", Space: "new", Unary: true}, 1, 5))
	require.Nil(t, elsewhere.refusal)
	<-lost.durable.Done()
	require.ErrorIs(t, lost.durable.Err(), cause)
	require.Equal(t, fault.StorageUnavailable, fault.KindOf(lost.durable.Err()))
	require.Positive(t, fault.As(lost.durable.Err()).RetryAfter, "says when to try again")
	<-elsewhere.durable.Done()

	if elsewhere.durable.Err() != nil { // it was in the failed group, or built on it
		s.mu.Lock()
		require.Equal(t, before, portraitOf(s.state))
		s.mu.Unlock()
		_, ok := s.Space("new")
		require.False(t, ok)
	}
	v := again(t, s, observations(a, 3, 2, 3)...) // other ops than those that were lost
	require.EqualValues(t, 3, v.version)
	require.EqualValues(t, 4, must(s.OpenSession(context.Background(), session.OpenRequest{
		Space: "faces", SessionID: g.SessionID, Token: g.Token, LastCommitted: 4,
	})).Committed)

	everything := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	require.NoError(t, s.Close())
	for _, fs := range []vfs.FS{mem, everything} {
		s := mustOpen(t, testOptions(fs))
		all := replayed(t, s)
		require.Equal(t, 4, ofSession(t, all, a, 3))
		require.NoError(t, s.Close())
	}
}

func must(g session.Grant, err error) session.Grant {
	if err != nil {
		panic(err)
	}
	return g
}

// again appends until it is durable, as a client that is nacked does.
func again(t testing.TB, s *Store, ops ...session.Op) (v verdict) {
	t.Helper()
	require.Eventually(t, func() bool {
		v = offered(s, ops...)
		if v.refusal != nil {
			require.Equal(t, session.NackStorageUnavailable, v.refusal.Nack, "%v", v.refusal)
			require.Equal(t, v.refusal.Expected, ops[0].Sequence)
			return false
		}
		return await(context.Background(), v.durable) == nil
	}, 10*time.Second, time.Microsecond)
	return v
}

// While the log waits after a failure, units are nacked with the number to go on with and the time to wait.
func TestStorageNackSaysWhereAndWhen(t *testing.T) {
	disk := &faulty{}
	o := testOptions(errorfs.Wrap(vfs.NewMem(), disk))
	o.MinBackoff = time.Hour
	s := opened(t, o)
	a, _ := attached(t, s, "faces")
	stored(t, s, observation(a, 1, 3))
	disk.fail(errorfs.OpFileSyncData, 1, syscall.EIO)
	<-offered(s, observation(a, 2, 3)).durable.Done()
	v := offered(s, observations(a, 1, 3, 3)...)
	require.Equal(t, session.Nacked, v.refusal.Verdict)
	require.Equal(t, session.NackStorageUnavailable, v.refusal.Nack)
	require.EqualValues(t, 2, v.refusal.Expected)
	require.Positive(t, v.refusal.Retry)
	require.ErrorIs(t, v.refusal, syscall.EIO)
	_, err := s.CreateSpace(context.Background(), memory.Space{Name: "birds", Dimension: 2})
	require.Equal(t, fault.StorageUnavailable, fault.KindOf(err))
	_, err = s.OpenSession(context.Background(), session.OpenRequest{Space: "faces"})
	require.Equal(t, fault.StorageUnavailable, fault.KindOf(err))
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{1, 0}, []int{live, detached})
}

// Sessions whose opening, resuming or ending is lost are as they were.
func TestFailedSessionChangesAreTakenBack(t *testing.T) {
	disk := &faulty{}
	s := opened(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
	a, g := attached(t, s, "faces")
	q := session.OpenRequest{Space: "faces", SessionID: g.SessionID, Token: g.Token}
	failing := func(do func() error) {
		disk.fail(errorfs.OpFileSyncData, 1, syscall.EIO)
		require.ErrorIs(t, do(), syscall.EIO)
		again(t, s, observation(&session.Attachment{SessionID: "u" + fmt.Sprint(time.Now().UnixNano()), Space: "faces", Unary: true}, 1, 3))
	}
	failing(func() error {
		_, err := s.OpenSession(context.Background(), session.OpenRequest{Space: "faces"})
		return err
	})
	_, live, detached := s.JournalStats()
	require.Equal(t, []int{1, 0}, []int{live, detached})
	failing(func() error { return s.EndSession(context.Background(), g.SessionID, 1) })
	stored(t, s, observation(a, 1, 3))
	failing(func() error { _, err := s.OpenSession(context.Background(), q); return err })
	stored(t, s, observation(a, 2, 3))
	r, err := s.OpenSession(context.Background(), q)
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Epoch)
	require.EqualValues(t, 2, r.Committed)
}

// A space outlives a failed append to it: who asks for it again is not told of that failure.
func TestSpaceOutlivesAFailedAppend(t *testing.T) {
	disk := &faulty{}
	s := opened(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
	want := memory.Space{Name: "faces", Dimension: 3, Metric: memory.Cosine}
	_, err := s.CreateSpace(context.Background(), want)
	require.NoError(t, err)
	disk.fail(errorfs.OpFileSyncData, 1, syscall.EIO)
	lost := offered(s, observation(&session.Attachment{SessionID: "u1", Space: "faces", Unary: true}, 1, 3))
	<-lost.durable.Done()
	require.ErrorIs(t, lost.durable.Err(), syscall.EIO)
	_, err = s.CreateSpace(context.Background(), want)
	require.NoError(t, err)
}

// Several clients append at once, each going back when it is told to, while the disk fails now and then. In the end each
// op is stored once, and a fresh start agrees.
func TestConcurrentClientsOnAFailingDisk(t *testing.T) {
	disk := &faulty{}
	o := testOptions(errorfs.Wrap(vfs.NewMem(), disk))
	o.SegmentBytes = 64 << 10
	s := mustOpen(t, o)
	const clients, each = 4, 120
	var attachments [clients]*session.Attachment
	var work sync.WaitGroup
	for i := range clients {
		attachments[i], _ = attached(t, s, "faces")
		work.Go(func() { client(t, s, attachments[i], each) })
	}
	for i := range 25 {
		kind := []errorfs.OpKind{errorfs.OpFileSyncData, errorfs.OpFileWrite, errorfs.OpCreate}[i%3]
		disk.fail(kind, 1+i%2, syscall.EIO)
		_, _ = s.CreateSpace(context.Background(), memory.Space{Name: "birds", Dimension: 1}) // paces the failures
	}
	disk.fail(errorfs.OpFileSyncData, 0, nil)
	work.Wait()
	for range 2 {
		all := replayed(t, s)
		require.Len(t, all, clients*each)
		for _, a := range attachments {
			require.Equal(t, each, ofSession(t, all, a, 3))
		}
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
	}
	require.NoError(t, s.Close())
}

// client sends its ops in units of up to 5, several on their way at once, and goes back to what it is told to expect.
func client(t *testing.T, s *Store, from *session.Attachment, ops int) {
	type sent struct {
		first   uint64
		durable memory.Durability
	}
	var flying []sent
	for next := uint64(1); next <= uint64(ops) || len(flying) > 0; {
		if next <= uint64(ops) && len(flying) < 4 {
			n := min(1+int(next)%5, ops-int(next)+1)
			v := offered(s, observations(from, next, n, 3)...)
			if v.refusal == nil {
				flying = append(flying, sent{next, v.durable})
				next += uint64(n)
				continue
			}
			if v.refusal.Verdict == session.Nacked {
				next, flying = v.refusal.Expected, nil
				continue
			}
			require.Equal(t, session.Duplicate, v.refusal.Verdict)
			next += uint64(n)
		}
		if len(flying) == 0 {
			continue
		}
		if err := await(context.Background(), flying[0].durable); err != nil {
			require.ErrorIs(t, err, syscall.EIO)
			next, flying = flying[0].first, nil
			continue
		}
		flying = flying[1:]
	}
}
