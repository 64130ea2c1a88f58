package journal

import (
	"context"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// Register adds the kind `journal`. Its files lie where the application's DataDir says.
func Register(r *graph.Registry) {
	graph.Register(r, "journal", graph.Doc{
		Summary: "Gives each op its version and makes it durable, with the session's numbers, as one record.",
		Traits:  graph.Traits{Ordered: true},
	}, defaults(), func(c Config, d graph.Deps) (graph.Stage[session.Op, session.Appended], error) {
		return &Stage{
			config: c, dir: graph.Use[DataDir](d), policy: graph.Use[SessionPolicy](d), limits: graph.Use[Limits](d), logger: d.Logger,
			store: &Store{}, fs: vfs.Default,
		}, nil
	})
}

// Stage is the journal in a pipeline: Store's shell. Process may run for several spaces at once; the store orders them.
type Stage struct {
	config Config
	dir    *graph.Handle[DataDir]
	policy *graph.Handle[SessionPolicy]
	limits *graph.Handle[Limits]
	logger *slog.Logger
	fs     vfs.FS
	store  *Store // exported when the stage is built, filled by Open
}

// Exports implements graph.Exporter: the store, to be used once the stage is open.
func (s *Stage) Exports() []any { return []any{s.store} }

// Open implements graph.Opener. A torn tail that it cuts is logged as a warning.
func (s *Stage) Open(context.Context) error {
	policy := s.policy.Get()
	found, err := s.store.open(Options{
		FS: s.fs, Dir: s.dir.Get().JournalDir(), SegmentBytes: int64(s.config.Segment), Logger: s.logger,
		DetachTTL: policy.DetachTTL(), MaxDetached: policy.MaxDetached(), MaxSpaces: s.limits.Get().SpaceLimit(),
	})
	if err != nil {
		return err
	}
	s.logger.Info("journal opened", "segments", found.Segments, "ops", found.Items)
	if found.TruncatedBytes > 0 {
		s.logger.Warn("journal: cut a torn tail, which was never acknowledged",
			"file", found.File, "offset", found.Offset, "bytes", found.TruncatedBytes)
	}
	return nil
}

// Close implements graph.Closer.
func (s *Stage) Close() error { return s.store.Close() }

// Process appends the batch's ops, unit by unit, and sends them on without waiting for the disk: each with its version,
// its ordinal and the Durability of its group. What is not appended is rejected with a *session.Refusal.
func (s *Stage) Process(ctx context.Context, in *graph.Batch[session.Op], out graph.Port[session.Appended]) error {
	run := &run{in: in, appended: make([]session.Appended, in.Len()), live: make([]int, 0, in.Len())}
	for first := 0; first < in.Len(); {
		u := newUnit(in.Items[first:])
		end := first + len(u.ops)
		run.take(first, end, s.store.append(ctx, u))
		first = end
	}
	if len(run.live) == 0 {
		return nil
	}
	return out.Send(ctx, run.output())
}

// run collects what became of a batch.
type run struct {
	in       *graph.Batch[session.Op]
	appended []session.Appended // by index in the batch
	live     []int              // the indexes that were appended
}

// take notes the verdict on the items first to end, a unit.
func (r *run) take(first, end int, v verdict) {
	if v.refusal != nil {
		r.reject(first, end, v.refusal)
		return
	}
	if v.skip > 0 {
		r.reject(first, first+v.skip, v.duplicate)
	}
	for i := first + v.skip; i < end; i++ {
		n := i - first - v.skip
		r.appended[i] = session.Appended{
			Op: r.in.Items[i], Incarnation: v.incarnation, Version: v.version + memory.Version(n), Ordinal: v.ordinal + memory.Ordinal(n), Durable: v.durable,
		}
		r.live = append(r.live, i)
	}
	for _, turned := range v.turned {
		r.in.Mark(first+turned, uint8(session.Rejected))
	}
}

func (r *run) reject(first, end int, refusal *session.Refusal) {
	for i := first; i < end; i++ {
		r.in.Reject(i, refusal)
	}
}

func (r *run) output() *graph.Batch[session.Appended] {
	if len(r.live) == r.in.Len() {
		return graph.Map(r.in, r.appended)
	}
	live := graph.Take(r.in, r.live)
	out := make([]session.Appended, len(r.live))
	for j, i := range r.live {
		out[j] = r.appended[i]
	}
	return graph.Map(live, out)
}
