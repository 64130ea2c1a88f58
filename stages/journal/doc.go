// Package journal is the stage that makes ops durable, and the keeper of spaces and sessions.
//
// A commit unit, a run of ops of one session, is one checksummed record of the log: data and dedup state are the same
// bytes. Deciding on a unit (compare-and-append: session, epoch, next number), giving it versions and appending it are
// one step under one lock; many units share one sync (group commit). The stage hands ops on with the Durability of
// their group and does not wait for it.
//
// It promises: versions of a space are dense, one an op, in the log's order; a number of a session is appended once;
// after a failed write the state is what is durable. Layers, each with its file: log/ (bytes), item.go and record.go
// (codecs), state.go, sessions.go and decide.go (the pure state machine), store.go (the lock and the services),
// stage.go. The formats are in docs/format/journal.md.
package journal
