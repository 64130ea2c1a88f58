package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/engram-stream/engram/internal/files"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/index/fresh"
	"github.com/engram-stream/engram/stages/index/hnsw"
)

const (
	snapshotCategory   = vfs.DiskWriteCategory("engram-index")
	snapshotFolderMode = 0o700
	snapshotSuffix     = ".graph"
	snapshotFormat     = 1
	// releaseEvery is how many slots get into a graph that is restored before the tier lets go of their codes.
	releaseEvery = 1 << 14
)

var snapshotMagic = [8]byte{'e', 'n', 'g', 'r', 'g', 'r', 'p', 'h'}

// snapshotHead is how a snapshot begins, little-endian; hnsw's saved graph follows. All of it is in checked frames (package
// files); docs/format/graph.md says it whole.
type snapshotHead struct {
	Magic       [8]byte
	Format      uint32
	Metric      uint32
	Dimension   uint64
	Incarnation uint64
	Through     uint32 // slots below it are in the graph, or were dead
	_           uint32
	// of the last of these: the journal has to say the same
	Version uint64
	Ordinal uint64
	At      int64
}

// snapshots keeps graphs in files, one a space, which its incarnation names. What is in the journal is not in them: vectors,
// ids, deaths. So a graph comes back while the journal is replayed, and takes what is replayed instead of linking it anew.
type snapshots struct {
	fs     vfs.FS
	dir    string // empty: nothing is kept
	least  int    // nodes that a graph changes by before it is saved again
	logger *slog.Logger
}

func newSnapshots(fs vfs.FS, dir string, logger *slog.Logger) *snapshots {
	return &snapshots{fs: fs, dir: dir, least: mergeBatch, logger: logger}
}

func (s *snapshots) path(incarnation uint64) string {
	return s.fs.PathJoin(s.dir, fmt.Sprintf("%020d%s", incarnation, snapshotSuffix))
}

// save puts the graph of a space in the place of what was kept of it. g's writer calls it.
func (s *snapshots) save(ctx context.Context, incarnation uint64, g *merged) error {
	if err := files.MakeFolder(s.fs, s.dir, snapshotFolderMode); err != nil {
		return err
	}
	return files.Replace(s.fs, s.path(incarnation), snapshotCategory, func(w io.Writer) error {
		checked := files.NewCheckedWriter(stoppable{ctx, w})
		if err := g.save(checked, incarnation); err != nil {
			return err
		}
		return checked.Close()
	})
}

// stoppable is a writer that fails when ctx has ended.
type stoppable struct {
	ctx context.Context
	to  io.Writer
}

func (s stoppable) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.to.Write(p)
}

func (m *merged) save(w io.Writer, incarnation uint64) error {
	c := m.coverage.Load()
	last := m.tier.Record(c.through - 1)
	head := snapshotHead{
		Magic: snapshotMagic, Format: snapshotFormat, Metric: uint32(m.tier.Metric()), Dimension: uint64(m.tier.Dimension()),
		Incarnation: incarnation, Through: uint32(c.through), Version: last.Birth, Ordinal: last.Ordinal, At: last.At,
	}
	if err := binary.Write(w, binary.LittleEndian, head); err != nil {
		return err
	}
	return m.builder.Save(w)
}

// restoring is a graph on its way back: the slots of the journal's replay give it their codes.
type restoring struct {
	head  snapshotHead
	graph *hnsw.Restorer
}

// restore returns what is kept of a space's graph for its new tier; nil, with a line in the log, when that is damaged or of
// another kind, and nil when there is none.
func (s *snapshots) restore(name string, incarnation uint64, m *merged) *restoring {
	if s.dir == "" {
		return nil
	}
	path := s.path(incarnation)
	r, err := s.read(path, incarnation, m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.logger.Warn("index: the snapshot of a graph cannot be used, the graph will be built again from the journal",
			"space", name, "file", path, "cause", err)
		return nil
	}
	return r
}

func (s *snapshots) read(path string, incarnation uint64, m *merged) (*restoring, error) {
	file, err := s.fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return decodeSnapshot(files.NewCheckedReader(file), incarnation, m)
}

// decodeSnapshot reads what merged.save has written.
func decodeSnapshot(checked io.Reader, incarnation uint64, m *merged) (*restoring, error) {
	r := &restoring{}
	if err := binary.Read(checked, binary.LittleEndian, &r.head); err != nil {
		return nil, err
	}
	switch h := &r.head; {
	case h.Magic != snapshotMagic:
		return nil, errors.New("it is no snapshot of a graph")
	case h.Format != snapshotFormat:
		return nil, fmt.Errorf("it has format %d, and this version reads %d", h.Format, snapshotFormat)
	case h.Incarnation != incarnation || h.Dimension != uint64(m.tier.Dimension()) || h.Metric != uint32(m.tier.Metric()):
		return nil, errors.New("it is of another space")
	}
	var err error
	if r.graph, err = hnsw.Restore(checked, m.options()); err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, checked) // to its end, which says that it is whole
	if err == nil && n > 0 {
		err = fmt.Errorf("%d bytes follow the graph", n)
	}
	return r, err
}

// put gives the graph the code of a slot that has been committed; slots come in order, from 0. done says that the graph has all.
// The error says that journal and snapshot do not belong together.
func (r *restoring) put(m *merged, slot fresh.Slot) (done bool, err error) {
	code, factors := m.tier.Code(slot)
	r.graph.Put(uint32(slot), code, factors)
	runtime.KeepAlive(m.tier)
	if (slot+1)%releaseEvery == 0 {
		m.tier.Release(slot + 1)
	}
	if uint32(slot)+1 < r.head.Through {
		return false, nil
	}
	if at := m.tier.Record(slot); at.Birth != r.head.Version || at.Ordinal != r.head.Ordinal || at.At != r.head.At {
		return false, fmt.Errorf("the snapshot of its graph goes on from version %d, record %d, where the journal has version %d, record %d",
			r.head.Version, r.head.Ordinal, at.Birth, at.Ordinal)
	}
	b, err := r.graph.Finish()
	if err != nil {
		return false, err
	}
	m.tier.Release(slot + 1)
	m.resume(b, slot+1, memory.Version(r.head.Version))
	return true, nil
}

// short says that the journal has ended before the graph had all of its codes.
func (r *restoring) short(version memory.Version) error {
	return fmt.Errorf("the snapshot of its graph goes on to version %d, and the journal ends at %d", r.head.Version, version)
}

// remove forgets what is kept of a space's graph.
func (s *snapshots) remove(incarnation uint64) {
	if s.dir == "" {
		return
	}
	if err := s.fs.Remove(s.path(incarnation)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.logger.Warn("index: the snapshot of a graph cannot be removed", "file", s.path(incarnation), "cause", err)
	}
}

// sweep removes what is of no space that there is, and files that were not finished.
func (s *snapshots) sweep(incarnations map[uint64]bool) {
	if s.dir == "" {
		return
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.logger.Warn("index: the folder of snapshots cannot be read", "folder", s.dir, "cause", err)
		}
		return
	}
	for _, name := range names {
		if !strings.Contains(name, snapshotSuffix) {
			continue // not ours
		}
		var incarnation uint64
		if _, err := fmt.Sscanf(name, "%d"+snapshotSuffix, &incarnation); err == nil && name == s.fs.PathBase(s.path(incarnation)) && incarnations[incarnation] {
			continue
		}
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, name)); err != nil {
			s.logger.Warn("index: a snapshot of no space cannot be removed", "file", name, "cause", err)
		}
	}
}

// unsaved is how much of a graph its snapshot does not have. The merger's.
type unsaved struct {
	changed int // nodes inserted and removed since it was saved, or was last tried to be
	nodes   int // that it had then
}

// When a graph is saved again: so that all that is ever written is a small part of what was taken in, and what a restart links
// anew a part of the graph.
const (
	// idleShare and stopShare are the parts of a graph, one in so many, that change before it is saved when there is nothing to
	// merge, and when the server stops. Else it is saved when as much has changed as it had.
	idleShare, stopShare = 2, 16
	// savingAtStop is how long a stop may take to save graphs.
	savingAtStop = 5 * time.Second
)

// due reports whether a share of the graph has changed, and so many nodes.
func (u *unsaved) due(share, least int) bool { return u.changed >= max(least, u.nodes/share) }

// forget removes what is kept of a space.
func (m *merger) forget(sp *space) {
	m.snapshots.remove(sp.incarnation)
	sp.kept.Store(false)
}

// keep saves a space's graph when enough of it is new; idle: there is nothing to merge.
func (m *merger) keep(ctx context.Context, sp *space, g *merged, share int) {
	if m.snapshots.dir == "" || sp.dropped.Load() || g.coverage.Load().graph == nil || !g.unsaved.due(share, m.snapshots.least) {
		return
	}
	began := time.Now()
	err := guarded(func() error { return m.snapshots.save(ctx, sp.incarnation, g) })
	nodes := g.coverage.Load().graph.Len()
	if err == nil || ctx.Err() == nil {
		g.unsaved = unsaved{nodes: nodes}
	} // else the stop that has ended ctx may save it
	switch {
	case err == nil:
		sp.kept.Store(true)
		if sp.dropped.Load() { // who did that may have found that nothing was kept
			m.forget(sp)
		}
		m.logger.Debug("index: the graph of a space has been saved", "space", sp.name, "nodes", nodes, "after", time.Since(began))
	case ctx.Err() == nil:
		m.logger.Warn("index: the graph of a space could not be saved, a restart may have to build it again",
			"space", sp.name, "cause", err)
	default:
		m.logger.Info("index: there was no time to save the graph of a space, a restart builds a part of it again", "space", sp.name)
	}
}
