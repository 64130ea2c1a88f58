package transports

import (
	"context"
	"log/slog"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// Journal is the keeper of spaces and sessions. Safe for concurrent use.
type Journal interface {
	Space(name string) (memory.Space, bool)
	// ListSpaces returns up to limit spaces with names above after, in ascending order of their names.
	ListSpaces(after string, limit int) []memory.Space
	// CreateSpace returns the space as stored; creating an equal one again is no error.
	CreateSpace(ctx context.Context, space memory.Space) (memory.Space, error)
	// DeleteSpace deletes a space with its memories and its sessions; attached are those of these that a stream serves.
	DeleteSpace(ctx context.Context, name string) (deleted memory.Space, attached []string, err error)
	OpenSession(ctx context.Context, request session.OpenRequest) (session.Grant, error)
	EndSession(ctx context.Context, id string, epoch uint64) error
	// DetachSession starts the session's time to live; an older epoch than the session's changes nothing.
	DetachSession(id string, epoch uint64)
	// DismissSession ends a session whatever its epoch; that is durable when it returns. No token: an operator asks.
	DismissSession(ctx context.Context, id string, token []byte) (session.Status, error)
	// Session and ListSessions tell what is durable of sessions; listed are up to limit with ids above after, in ascending
	// order, of one space unless that is empty.
	Session(id string, token []byte) (session.Status, error)
	ListSessions(ctx context.Context, space, after string, limit int) ([]session.Status, error)
	JournalStats() (committed uint64, attached, detached int)
}

// Index answers questions about what is published. Safe for concurrent use.
type Index interface {
	// Recall answers from a snapshot taken after the call began.
	Recall(ctx context.Context, space string, query memory.Query) (memory.Result, error)
	Get(ctx context.Context, space string, ids []string, includeEmbedding bool, hold memory.Hold) (found []memory.Hit, missing []string, err error)
	// List returns up to limit memories after a version, by rising version, and where the next page begins after.
	List(ctx context.Context, space string, after memory.Version, limit int, includeEmbedding bool, hold memory.Hold) (
		page []memory.Hit, last memory.Version, more bool, err error)
	// Match counts the memories that a forget would remove now.
	Match(ctx context.Context, space string, forget *memory.Forget) (uint64, error)
	// Feed returns what happens in a space, for who watches it.
	Feed(space string) (memory.Feed, error)
	WaitPublished(ctx context.Context, space string, version memory.Version) error
	Memories(space string) (alive uint64, at memory.Version)
	Published(space string) memory.Version
	// Graphed returns the version up to which a space's graph is searched; 0: it has none.
	Graphed(space string) memory.Version
	// Stats and Held tell what the index has done and what it holds, of all spaces or of one.
	Stats() memory.IndexStats
	Held(space string) memory.IndexHeld
}

// Admission tells how full the process is. Safe for concurrent use.
type Admission interface {
	Pressure() session.Pressure
}

// Workload tells which spaces the stages are at work on. Safe for concurrent use.
type Workload interface {
	// HeaviestKeys returns spaces of which most is queued, n at most for each stage, and those that are busiest, likewise.
	HeaviestKeys(n int) []string
	// LoadOf returns what a space is to each stage that knows it.
	LoadOf(key string) []graph.KeyLoad
}

// Embedding knows what embeds on this server; nil: nothing does. Safe for concurrent use.
type Embedding interface {
	Embedder() memory.Embedder
}

// Services is what a transport's source end is built from; see NewServices.
type Services struct {
	Inlet     graph.Inlet[session.Incoming]
	Admission *graph.Handle[Admission]
	Journal   *graph.Handle[Journal]
	Index     *graph.Handle[Index]
	Embedding *graph.Handle[Embedding]
	Workload  *graph.Handle[Workload]
	Logger    *slog.Logger
}

// NewServices asks the graph for the services that a source of kind transport needs.
func NewServices(d graph.Deps, inlet graph.Inlet[session.Incoming]) Services {
	return Services{
		Inlet: inlet, Logger: d.Logger,
		Admission: graph.Use[Admission](d), Journal: graph.Use[Journal](d), Index: graph.Use[Index](d),
		Embedding: graph.Use[Embedding](d), Workload: graph.Use[Workload](d),
	}
}
