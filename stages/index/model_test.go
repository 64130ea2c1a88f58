package index

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	"github.com/engram-stream/engram/stages/index/fresh"
	"github.com/engram-stream/engram/stages/index/hnsw"
)

// modelSpace is a space as a list of everything ever observed: the naive definition of the right answers.
type modelSpace struct {
	metric  memory.Metric
	version memory.Version
	entries []modelEntry
	events  []modelEvent // in version order
}

// modelEvent is a memory that was stored or forgotten, alone.
type modelEvent struct {
	kind    memory.EventKind
	version memory.Version
	id      string
	at      time.Time
}

type modelEntry struct {
	id           string
	vector       []float32
	birth, death memory.Version

	observedAt, receivedAt time.Time
}

// covered reports whether the memory is old enough for a forget.
func (e *modelEntry) covered(f *memory.Forget) bool {
	at := e.observedAt
	if at.IsZero() {
		at = e.receivedAt
	}
	return f.ObservedBefore.IsZero() || at.Before(f.ObservedBefore)
}

// matches lists the places of the memories that a forget covers now.
func (m *modelSpace) matches(f *memory.Forget) (places []int) {
	for i := range m.entries {
		e := &m.entries[i]
		if e.death == 0 && (len(f.IDs) == 0 || slices.Contains(f.IDs, e.id)) && e.covered(f) {
			places = append(places, i)
		}
	}
	return places
}

func (m *modelSpace) apply(op memory.Op, v memory.Version) (matched uint64) {
	m.version = v
	switch op.Kind {
	case memory.OpObserve:
		m.kill(&memory.Forget{IDs: []string{op.Observe.ID}}, v)
		m.events = append(m.events, modelEvent{memory.Stored, v, op.Observe.ID, op.Observe.ReceivedAt})
		m.entries = append(m.entries, modelEntry{
			id: op.Observe.ID, vector: op.Observe.Vector, birth: v, observedAt: op.Observe.ObservedAt, receivedAt: op.Observe.ReceivedAt,
		})
	case memory.OpForget:
		for _, i := range m.matches(op.Forget) {
			m.events = append(m.events, modelEvent{memory.Forgotten, v, m.entries[i].id, op.Forget.ReceivedAt})
		}
		matched = m.kill(op.Forget, v)
	}
	return matched
}

func (m *modelSpace) kill(f *memory.Forget, v memory.Version) uint64 {
	places := m.matches(f)
	for _, i := range places {
		m.entries[i].death = v
	}
	return uint64(len(places))
}

func (m *modelSpace) alive(v memory.Version) []modelEntry {
	var out []modelEntry
	for _, e := range m.entries {
		if e.birth <= v && (e.death == 0 || v < e.death) {
			out = append(out, e)
		}
	}
	return out
}

func (m *modelSpace) recall(query []float32, v memory.Version, limit int, least *float32) []memory.Hit {
	hits := []memory.Hit{}
	for _, e := range m.alive(v) {
		score := modelScore(m.metric, query, e.vector)
		if least == nil || score >= *least {
			hits = append(hits, memory.Hit{ID: e.id, Score: score, Version: e.birth, Embedding: e.vector, State: memory.Fresh, Confidence: 1, ObservedAt: e.observedAt, ReceivedAt: e.receivedAt})
		}
	}
	slices.SortFunc(hits, func(a, b memory.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Version, b.Version))
	})
	return hits[:min(limit, len(hits))]
}

// modelScore is exact on the vectors that the model draws.
func modelScore(m memory.Metric, a, b []float32) float32 {
	var dot, aa, bb, apart float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb, apart = dot+x*y, aa+x*x, bb+y*y, apart+(x-y)*(x-y)
	}
	switch m {
	case memory.Dot:
		return float32(dot)
	case memory.L2:
		return float32(0 - math.Sqrt(apart))
	default:
		return float32(dot / math.Sqrt(aa*bb))
	}
}

// machine is the stage, its journal and the model of a random history.
type machine struct {
	journal *fakeJournal
	disk    *vfs.MemFS // for snapshots
	stage   *Stage
	hash    func(string) uint64
	spaces  map[string]*modelSpace
	kept    []keptView // views that readers still hold
}

type keptView struct {
	space string
	view  *view
	stay  *stay
}

var modelSpaces = []string{"a", "b", "new"}

const modelDimension = 3

func newMachine(t *rapid.T) *machine {
	m := &machine{journal: newFakeJournal(), disk: vfs.NewMem(), spaces: map[string]*modelSpace{}}
	m.spaces["a"] = &modelSpace{metric: memory.Dot}
	m.journal.createSpace("a", modelDimension, memory.Dot)
	m.spaces["b"] = &modelSpace{metric: memory.L2}
	m.journal.createSpace("b", modelDimension, memory.L2)
	m.spaces["new"] = &modelSpace{metric: memory.Cosine} // made by its first observation
	switch rapid.SampledFrom([]string{"real", "few", "one"}).Draw(t, "hash") {
	case "few":
		m.hash = func(id string) uint64 { return uint64(id[len(id)-1]) % 3 * 0x10001 }
	case "one":
		m.hash = func(string) uint64 { return 15 } // the last place of the smallest table: every probe wraps
	default:
		m.hash = hasher(9)
	}
	m.restart(t)
	return m
}

// restart opens a new stage over the same journal, with the machine's hash.
func (m *machine) restart(t *rapid.T) {
	m.stage = newStage(plain, nil, graph.NewHandle[Journal](m.journal), graph.NewHandle[Limits](roomy), nowhere)
	saved := newSnapshots(m.disk, "index", m.stage.logger)
	saved.least = 1
	m.stage.merger = newMerger(mergeLimits{graphFrom: 4, workers: 2}, 1<<20, saved, m.stage.logger)
	m.stage.index = newIndex(m.journal, m.hash, m.stage.logger, m.stage.merger)
	require.NoError(t, m.stage.index.open(context.Background()))
	m.stage.service.serve(&server{index: m.stage.index, pool: newPool(2, 8), share: fresh.NewShare(1), maxLimit: roomy.maxLimit, rescore: true})
	m.kept = nil
}

func (m *machine) vector(t *rapid.T, space string) []float32 {
	v := make([]float32, modelDimension)
	if m.spaces[space].metric == memory.Cosine { // along an axis: the cosines are exact
		axis := rapid.IntRange(0, modelDimension-1).Draw(t, "axis")
		v[axis] = rapid.SampledFrom([]float32{-2, 1, 4}).Draw(t, "length")
		return v
	}
	for i := range v {
		v[i] = float32(rapid.IntRange(-3, 3).Draw(t, "component"))
	}
	return v
}

func drawID(t *rapid.T) string { return numbered(rapid.IntRange(0, 40).Draw(t, "id")) }

// drawTime draws times that are equal, or nearer than the tier tells apart, and some at the ends of what there is.
func drawTime(t *rapid.T) time.Time {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	switch rapid.IntRange(0, 9).Draw(t, "age") {
	case 0:
		return time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	case 1:
		return time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	case 2:
		return time.Date(1969, 12, 31, 23, 59, 59, 999_999_500, time.UTC)
	}
	return at.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 400, 999, 1000, 1001, 3000}).Draw(t, "nanoseconds")))
}

// drawForget draws what to forget: by id, by age, or both.
func drawForget(t *rapid.T) *memory.Forget {
	f := &memory.Forget{ReceivedAt: time.Unix(0, rapid.Int64Range(1, 1<<60).Draw(t, "received")).UTC()}
	if rapid.Bool().Draw(t, "by age") {
		f.ObservedBefore = drawTime(t)
	}
	if f.ObservedBefore.IsZero() || rapid.Bool().Draw(t, "by id too") {
		f.IDs = rapid.SliceOfN(rapid.Custom(drawID), 1, 4).Draw(t, "ids")
	}
	return f
}

func (m *machine) op(t *rapid.T, space string) memory.Op {
	switch rapid.SampledFrom([]string{"observe", "observe", "observe", "forget", "rejected"}).Draw(t, "op") {
	case "forget":
		return memory.Op{Kind: memory.OpForget, Forget: drawForget(t)}
	case "rejected":
		return rejected()
	}
	op := observe(drawID(t), m.vector(t, space)...)
	op.Observe.ReceivedAt = drawTime(t)
	if rapid.Bool().Draw(t, "observed") {
		op.Observe.ObservedAt = drawTime(t)
	}
	return op
}

// batch sends a batch of several fates through the stage. A failed fate is undone in the journal before the next ops
// are appended, so that those take its versions again.
func (m *machine) batch(t *rapid.T) {
	var items []session.Appended
	var fates []*fate
	var errs []error
	var want []session.Applied
	for range rapid.IntRange(1, 4).Draw(t, "fates") {
		f, undo := newFate(), m.journal.savepoint()
		var err error
		if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
			err = errDisk
		}
		for range rapid.IntRange(1, 12).Draw(t, "ops") {
			space := rapid.SampledFrom(modelSpaces).Draw(t, "space")
			item := m.journal.append(at(space), f, m.op(t, space))[0]
			items = append(items, item)
			if err == nil {
				matched := m.spaces[space].apply(item.Op.Op, item.Version)
				want = append(want, session.Applied{Op: item.Op, Version: item.Version, Matched: matched})
			}
		}
		if err != nil {
			undo()
		}
		fates, errs = append(fates, f), append(errs, err)
	}
	in, outcomes := graphtest.NewBatch(items...)
	port := graphtest.NewPort[session.Applied](1)
	var syncs conc.WaitGroup
	syncs.Go(func() {
		for i, f := range fates {
			f.decide(errs[i])
		}
	})
	require.NoError(t, m.stage.Process(context.Background(), in, port))
	syncs.Wait()
	got := port.Items()
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i])
	}
	port.DeliverAll()
	m.checkOutcomes(t, items, outcomes)
}

func (m *machine) checkOutcomes(t *rapid.T, items []session.Appended, outcomes *graphtest.Outcomes) {
	require.Equal(t, len(items), outcomes.Settled())
	require.Empty(t, outcomes.Faults())
	for i, item := range items {
		if item.Durable.Err() == nil {
			require.NoError(t, outcomes.Err(i))
			continue
		}
		verdict, refusal := session.VerdictOf(0, outcomes.Err(i))
		require.Equal(t, session.Nacked, verdict)
		require.Equal(t, session.NackStorageUnavailable, refusal.Nack)
	}
}

func (m *machine) query(t *rapid.T, space string) memory.Query {
	q := memory.Query{Vector: m.vector(t, space), Limit: rapid.IntRange(1, 30).Draw(t, "limit"), IncludeEmbedding: true}
	if m.spaces[space].metric == memory.Cosine {
		q.Vector[0] = 1
		q.Vector[1], q.Vector[2] = 0, 0
	}
	if rapid.IntRange(0, 3).Draw(t, "bounded") == 0 {
		least := float32(rapid.IntRange(-6, 6).Draw(t, "min score"))
		q.MinScore = &least
	}
	return q
}

func (m *machine) recall(t *rapid.T) {
	space := rapid.SampledFrom(modelSpaces).Draw(t, "space")
	q := m.query(t, space)
	if _, exists := m.journal.Space(space); !exists && m.spaces[space].version == 0 {
		return
	}
	got, err := m.stage.service.Recall(context.Background(), space, q)
	require.NoError(t, err)
	model := m.spaces[space]
	require.Equal(t, model.version, got.Snapshot)
	requireHits(t, model.recall(q.Vector, model.version, q.Limit, q.MinScore), got.Hits)
	require.Equal(t, len(model.alive(model.version)), int(alive(m.stage, space)))
}

func requireHits(t *rapid.T, want, got []memory.Hit) {
	require.Len(t, got, len(want))
	for i := range want {
		got[i].State = memory.Fresh // or graphed
		require.Equal(t, want[i], got[i], "rank %d", i)
	}
}

func (m *machine) keep(t *rapid.T) {
	space := rapid.SampledFrom(modelSpaces).Draw(t, "space")
	if sp := m.stage.index.space(space); sp != nil && len(m.kept) < 8 {
		stay := m.server().enter(space)
		v, err := m.server().load(context.Background(), sp)
		require.NoError(t, err)
		m.kept = append(m.kept, keptView{space: space, view: v, stay: stay})
	}
}

// old recalls and looks up at a view that has long been replaced.
func (m *machine) old(t *rapid.T) {
	if len(m.kept) == 0 {
		return
	}
	k := rapid.SampledFrom(m.kept).Draw(t, "kept")
	model := m.spaces[k.space]
	if k.view.tier != nil {
		q := m.query(t, k.space)
		var result memory.Result
		sv := m.stage.service.opened.Load()
		turns, err := sv.pool.begin()
		require.NoError(t, err)
		require.NoError(t, sv.answer(context.Background(), turns, &search{sv: sv, v: k.view, q: q, stay: &stay{}}, &result))
		turns.end()
		requireHits(t, model.recall(q.Vector, k.view.version, q.Limit, q.MinScore), result.Hits)
	}
	alive := model.alive(k.view.version)
	require.Equal(t, len(alive), int(k.view.live))
	id := drawID(t)
	found, ok, err := k.view.lookup(id, m.hash, m.journal)
	require.NoError(t, err)
	place := slices.IndexFunc(alive, func(e modelEntry) bool { return e.id == id })
	require.Equal(t, place >= 0, ok, "id %s at version %d", id, k.view.version)
	if ok {
		require.Equal(t, alive[place].birth, memory.Version(found.record.Birth))
	}
}

// letGo has the reader of a kept view leave.
func (m *machine) letGo(t *rapid.T) {
	if len(m.kept) > 0 {
		i := rapid.IntRange(0, len(m.kept)-1).Draw(t, "kept")
		m.kept[i].stay.leave()
		m.kept = slices.Delete(m.kept, i, i+1)
	}
}

// merge has the merger go round, which nothing may show.
func (m *machine) merge(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "rounds") {
		m.stage.merger.round(context.Background())
	}
	m.stage.index.spaces.Range(func(_, sp any) bool {
		if g := sp.(*space).view.Load().merged; g != nil && g.coverage.Load().graph != nil {
			require.NoError(t, hnsw.Validate(g.coverage.Load().graph))
			require.False(t, g.failed.Load())
		}
		return true
	})
}

// server is that of the stage.
func (m *machine) server() *server {
	return m.stage.service.opened.Load()
}

// idle has spaces unloaded that somebody may be about to use.
func (m *machine) idle(t *rapid.T) {
	for _, name := range modelSpaces {
		if sp := m.stage.index.space(name); sp != nil && rapid.Bool().Draw(t, "idle") {
			sp.used.Store(false)
			m.stage.merger.unload(context.Background(), sp)
		}
	}
}

// harm changes a byte of a snapshot, now and then.
func (m *machine) harm(t *rapid.T) {
	names, err := m.disk.List("index")
	if err != nil || len(names) == 0 || rapid.IntRange(0, 3).Draw(t, "harms") > 0 {
		return
	}
	slices.Sort(names)
	damage(t, m.disk, "index/"+rapid.SampledFrom(names).Draw(t, "snapshot"), rapid.Uint64().Draw(t, "byte"))
}

func (m *machine) lookUp(t *rapid.T) {
	space := rapid.SampledFrom(modelSpaces).Draw(t, "space")
	if _, exists := m.journal.Space(space); !exists && m.spaces[space].version == 0 {
		return
	}
	ids := rapid.SliceOfN(rapid.Custom(drawID), 0, 12).Draw(t, "ids")
	found, missing, err := m.stage.service.Get(context.Background(), space, ids, true, nil)
	require.NoError(t, err)
	alive := map[string]modelEntry{}
	for _, e := range m.spaces[space].alive(m.spaces[space].version) {
		alive[e.id] = e
	}
	for _, id := range ids {
		e, ok := alive[id]
		if !ok {
			require.NotEmpty(t, missing)
			require.Equal(t, id, missing[0])
			missing = missing[1:]
			continue
		}
		require.NotEmpty(t, found)
		require.Equal(t, []any{id, e.birth, e.vector}, []any{found[0].ID, found[0].Version, found[0].Embedding})
		found = found[1:]
	}
	require.Empty(t, found)
	require.Empty(t, missing)
	f := drawForget(t)
	matched, err := m.stage.service.Match(context.Background(), space, f)
	require.NoError(t, err)
	require.Len(t, m.spaces[space].matches(f), int(matched))
}

// trouble makes one read of the journal in the middle of an apply panic: the space is rebuilt, and nothing shows.
func (m *machine) trouble(t *rapid.T) {
	var reads atomic.Int32
	fatal := int32(rapid.IntRange(1, 5).Draw(t, "the read that fails"))
	m.journal.failReads(func(memory.Ordinal) error {
		if reads.Add(1) == fatal {
			panic(fmt.Sprintf("read %d", fatal))
		}
		return nil
	})
	m.batch(t)
	m.journal.failReads(nil)
}

// TestRandomHistoriesEqualTheModel drives observes, upserts, forgets, poison, failed durability, panics in apply and
// restarts; recalls, gets, dry runs and watches, at the published and at older views, must answer as the model.
func TestRandomHistoriesEqualTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"batch":   m.batch,
			"more":    m.batch,
			"trouble": m.trouble,
			"recall":  m.recall,
			"lookUp":  m.lookUp,
			"watch":   m.watch,
			"keep":    m.keep,
			"old":     m.old,
			"let go":  m.letGo,
			"merge":   m.merge,
			"idle":    m.idle,
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "restarts") == 0 {
					m.harm(t)
					m.restart(t)
				}
			},
		})
	})
}
