package index

import (
	"context"

	"github.com/engram-stream/engram/internal/memory"
)

// Journal is what the index needs of the journal. Safe for concurrent use.
type Journal interface {
	// Space describes a space by its name; false when there is none. A space whose creation is not durable yet may
	// be described and vanish again.
	Space(name string) (memory.Space, bool)
	// OnDelete has fn told of each space that is deleted from now on, once that is durable and before anything makes a
	// space of that name again. fn must not wait, nor call the journal.
	OnDelete(fn func(space memory.Space))
	// ReadOp returns a durable op, its vector as it was sent. Corrupt bytes are an error, never an op.
	ReadOp(o memory.Ordinal) (memory.Op, error)
	// ReplayOps calls fn for every durable op of the spaces that there are, each space's in version order, until fn fails; then it returns that
	// error. fn may call ReadOp.
	ReplayOps(ctx context.Context, fn func(space memory.Space, v memory.Version, o memory.Ordinal, op memory.Op) error) error
}

// Limits gives the bounds of recalls, as the pipeline's `recall` settings state them: how many run at once, how many
// more may wait, and the largest limit of a query.
type Limits interface {
	RecallLimits() (workers, queue, maxLimit int)
}

// DataDir says where snapshots of graphs lie.
type DataDir interface {
	// IndexDir returns the folder, which need not exist; empty: none are kept.
	IndexDir() string
}
