package index

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/index/fresh"
)

// Register adds the kind "index".
func Register(r *graph.Registry) {
	doc := graph.Doc{
		Summary: "Makes durable observations findable and answers recalls from the published snapshot.",
		Traits:  graph.Traits{Ordered: true},
	}
	graph.Register(r, "index", doc, defaults, func(c Config, d graph.Deps) (graph.Stage[session.Appended, session.Applied], error) {
		return newStage(c, d.Logger, graph.Use[Journal](d), graph.Use[Limits](d), graph.Use[DataDir](d)), nil
	})
}

// Stage applies durable ops. Process runs for one batch of a space at a time, whichever worker has the space.
type Stage struct {
	config  Config
	logger  *slog.Logger
	journal *graph.Handle[Journal]
	limits  *graph.Handle[Limits]
	dir     *graph.Handle[DataDir]
	fs      vfs.FS
	service *Service

	// set by Open
	index  *index
	merger *merger
}

func newStage(c Config, logger *slog.Logger, journal *graph.Handle[Journal], limits *graph.Handle[Limits], dir *graph.Handle[DataDir]) *Stage {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Stage{
		config: c, logger: logger, journal: journal, limits: limits, dir: dir, fs: vfs.Default, service: &Service{},
	}
}

// Exports offers the Service.
func (s *Stage) Exports() []any { return []any{s.service} }

// Open builds the index from the journal, in one pass, and graphs from their snapshots.
func (s *Stage) Open(ctx context.Context) error {
	kept := newSnapshots(s.fs, s.dir.Get().IndexDir(), s.logger)
	s.merger = newMerger(s.config.limits(), s.config.FreshLimit, kept, s.logger)
	s.index = newIndex(s.journal.Get(), hasher(secretSeed()), s.logger, s.merger)
	if err := s.index.open(ctx); err != nil {
		return err
	}
	s.merger.idleTurn = s.config.UnloadAfter / idleTurns
	s.merger.start(&s.index.spaces)
	s.journal.Get().OnDelete(func(space memory.Space) { s.index.drop(space.Name, space.Incarnation) })
	workers, queue, maxLimit := s.limits.Get().RecallLimits()
	s.service.serve(&server{
		index:    s.index,
		pool:     newPool(workers, queue),
		share:    fresh.NewShare(runtime.GOMAXPROCS(0) - 1),
		maxLimit: min(maxLimit, memory.MaxRecallLimit),
		rescore:  s.config.Rescore,
	})
	return nil
}

// Close ends what goes on in the background, and saves the graphs that have changed, as far as there is time.
func (s *Stage) Close() error {
	if s.merger == nil {
		return nil
	}
	s.index.loader.stop()
	s.merger.stop()
	ctx, cancel := context.WithTimeout(context.Background(), savingAtStop)
	defer cancel()
	s.index.spaces.Range(func(_, held any) bool {
		sp := held.(*space)
		if g := sp.view.Load().merged; g != nil && !g.failed.Load() {
			s.merger.keep(ctx, sp, g, stopShare)
		}
		return true
	})
	return nil
}

func secretSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	return binary.LittleEndian.Uint64(b[:])
}

// Process prepares the ops of one durability after the other while their bytes are synced, waits for the outcome,
// publishes or discards, and sends on what was published. What is ready never waits for a later sync; a failing
// receiver does not keep what follows from being applied, since it is durable.
func (s *Stage) Process(ctx context.Context, in *graph.Batch[session.Appended], out graph.Port[session.Applied]) error {
	ready := &applied{in: in, out: out}
	for first, total := 0, len(in.Items); first < total; {
		end := sameFate(in.Items, first)
		if err := s.settle(ctx, ready, first, end); err != nil {
			return err
		}
		first = end
	}
	ready.send(ctx)
	return ready.failed
}

// sameFate returns the end of the run of items from first on whose durability is one.
func sameFate(items []session.Appended, first int) int {
	end := first + 1
	for end < len(items) && items[end].Durable == items[first].Durable {
		end++
	}
	return end
}

func (s *Stage) settle(ctx context.Context, ready *applied, first, end int) error {
	items := ready.in.Items[first:end]
	changes := s.changes(items)
	for i := range changes {
		if err := s.index.claim(ctx, changes[i].space); err != nil {
			return err
		}
		defer changes[i].space.release()
		if err := s.merger.room(ctx, changes[i].space, len(changes[i].steps)); err != nil {
			return err
		}
		s.index.prepare(&changes[i].change)
	}
	failure, err := ready.await(ctx, items[0].Durable)
	if failure != nil || err != nil {
		for i := range changes {
			s.index.discard(&changes[i].change)
		}
	}
	if err != nil {
		return err
	}
	if failure != nil {
		refuse(ready.in, first, end, failure)
		return nil
	}
	return s.commit(ctx, ready, first, end, changes)
}

func (s *Stage) commit(ctx context.Context, ready *applied, first, end int, changes []spaceChange) error {
	matched := make([]uint64, end-first)
	for i := range changes {
		c := &changes[i]
		of, err := s.index.commit(ctx, &c.change)
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
		for j, at := range c.items {
			matched[at] = of[j]
		}
	}
	ready.add(first, matched)
	return nil
}

// spaceChange is one space's part of a run; items are the steps' places in it.
type spaceChange struct {
	change
	items []int
}

// changes splits a run by space, in order within each. What belongs to a deleted space is in none: it was durable before
// the space was deleted, and so it is acknowledged, and gone.
func (s *Stage) changes(items []session.Appended) []spaceChange {
	type identity struct {
		name        string
		incarnation uint64
	}
	var out []spaceChange
	places := map[identity]int{}
	for i := range items {
		id := identity{items[i].From.Space, items[i].Incarnation}
		place, known := places[id]
		if !known {
			sp := s.index.ensure(id.name, id.incarnation)
			if sp == nil {
				continue
			}
			place = len(out)
			places[id] = place
			out = append(out, spaceChange{change: change{space: sp}})
		}
		c := &out[place]
		c.steps = append(c.steps, step{op: &items[i].Op.Op, version: items[i].Version, ordinal: items[i].Ordinal})
		c.items = append(c.items, i)
	}
	return out
}

// refuse rejects the items of a failed append: nothing of them is durable, their numbers are free again.
func refuse(in *graph.Batch[session.Appended], first, end int, failure error) {
	expected := map[*session.Attachment]uint64{}
	for i := first; i < end; i++ {
		item := in.Items[i]
		if _, known := expected[item.From]; !known {
			expected[item.From] = expectedAfter(item)
		}
		in.Reject(i, refusal(expected[item.From], failure))
	}
}

// expectedAfter returns the number that the session goes on with when this item was the first of its run that failed:
// its own, or less if an earlier failure has stepped the session back already.
func expectedAfter(item session.Appended) uint64 {
	if item.From.Window == nil {
		return item.Sequence
	}
	return min(item.Sequence, item.From.Window.Expected())
}

func refusal(expected uint64, failure error) error {
	f := fault.As(failure)
	if f == nil {
		f = fault.Wrap(fault.StorageUnavailable, failure, "the journal could not store it")
		failure = f
	}
	return &session.Refusal{
		Verdict: session.Nacked, Nack: session.NackStorageUnavailable, Expected: expected, Retry: f.RetryAfter, Cause: failure,
	}
}
