package journal

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

const testDir = "data/journal"

func testOptions(fs vfs.FS) Options {
	return Options{FS: fs, Dir: testDir, SegmentBytes: 4 << 10, MinBackoff: 1}
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, _, err := Open(o)
	require.NoError(t, err)
	return s
}

// opened opens a store that is closed at the test's end.
func opened(t testing.TB, o Options) *Store {
	t.Helper()
	s := mustOpen(t, o)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// attached opens a new session and returns its attachment and grant.
func attached(t testing.TB, s *Store, space string) (*session.Attachment, session.Grant) {
	t.Helper()
	g, err := s.OpenSession(context.Background(), session.OpenRequest{Space: space})
	require.NoError(t, err)
	return attachment(g, space), g
}

func attachment(g session.Grant, space string) *session.Attachment {
	return &session.Attachment{
		SessionID: g.SessionID, Space: space, Epoch: g.Epoch, Window: session.NewWindow(g.Committed + 1), Outbox: session.NewOutbox(g.Committed),
	}
}

// observation is the op with a number: its content and vector follow from the session and the number.
func observation(from *session.Attachment, sequence uint64, dimension int) session.Op {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(sequence) + float32(i)/8
	}
	return session.Op{From: from, Op: memory.Op{Kind: memory.OpObserve, Sequence: sequence, Observe: &memory.Observation{
		ID: fmt.Sprintf("%s-%d", from.SessionID, sequence), Content: fmt.Sprintf("content %d", sequence), Confidence: 1,
		Metadata:   map[string]memory.Value{"n": int64(sequence)},
		ReceivedAt: time.Unix(int64(sequence), 0).UTC(), Vector: v,
	}}}
}

func observations(from *session.Attachment, first uint64, n, dimension int) []session.Op {
	ops := make([]session.Op, n)
	for i := range ops {
		ops[i] = observation(from, first+uint64(i), dimension)
	}
	return ops
}

func rejection(from *session.Attachment, sequence uint64, reason string) session.Op {
	return session.Op{From: from, Op: memory.Op{Kind: memory.OpRejected, Sequence: sequence, Rejection: &memory.Rejection{Code: 3, Reason: reason}}}
}

func forget(from *session.Attachment, sequence uint64, ids ...string) session.Op {
	return session.Op{From: from, Op: memory.Op{Kind: memory.OpForget, Sequence: sequence, Forget: &memory.Forget{IDs: ids}}}
}

// offered appends ops as one unit and returns the verdict, without waiting.
func offered(s *Store, ops ...session.Op) verdict {
	return s.append(context.Background(), newUnit(ops))
}

// stored appends ops and waits until they are durable.
func stored(t testing.TB, s *Store, ops ...session.Op) verdict {
	t.Helper()
	v := offered(s, ops...)
	require.Nil(t, v.refusal)
	require.NoError(t, await(context.Background(), v.durable))
	return v
}

// replayedOp is one op as ReplayOps gives it.
type replayedOp struct {
	Space   string
	Version memory.Version
	Ordinal memory.Ordinal
	Op      memory.Op
}

// replayed returns all durable ops, each checked to be what ReadOp gives, with dense versions and ordinals.
func replayed(t testing.TB, s *Store) (all []replayedOp) {
	t.Helper()
	versions := map[string]memory.Version{}
	require.NoError(t, s.ReplayOps(context.Background(), func(sp memory.Space, v memory.Version, o memory.Ordinal, op memory.Op) error {
		versions[sp.Name]++
		require.Equal(t, versions[sp.Name], v)
		require.EqualValues(t, len(all)+1, o)
		read, err := s.ReadOp(o)
		require.NoError(t, err)
		require.Equal(t, op, read)
		all = append(all, replayedOp{sp.Name, v, o, op})
		return nil
	}))
	for name, v := range versions {
		sp, ok := s.Space(name)
		require.True(t, ok)
		require.Equal(t, v, sp.Committed)
	}
	return all
}

// ofSession returns the replayed ops whose observation was made by observation for this session, checked to be numbered
// 1, 2, … and equal to what was sent.
func ofSession(t testing.TB, all []replayedOp, from *session.Attachment, dimension int) int {
	t.Helper()
	n := uint64(0)
	prefix := from.SessionID + "-"
	for _, r := range all {
		if r.Op.Kind != memory.OpObserve || len(r.Op.Observe.ID) <= len(prefix) || r.Op.Observe.ID[:len(prefix)] != prefix {
			continue
		}
		n++
		require.Equal(t, observation(from, n, dimension).Op, r.Op)
	}
	return int(n)
}
