// Package index is the stage that makes durable ops findable, and the service that finds them.
//
// Each space has its own index: a tier of vectors' codes (package fresh) and a table from memory_id to the newest slot, of
// which a view at one version is published by one atomic store. An op is prepared while its bytes are being synced,
// applied and published once they are durable, and only then sent on: whatever is acked is found. Readers take the
// view that stands and see birth <= version < death; they never wait for a writer, and a writer never for them.
//
// A recall has the tier find candidates, by codes, and compares those with the query by the vectors that the journal has of
// them, so that scores are exact; asked to be exact, it compares all.
//
// A space is owned by one lane at a time; that lane's goroutine is its only writer. The index holds nothing that the
// journal does not: Open rebuilds it by replay, and so is a space whose apply fails. The core (index.go and what it
// uses) has no goroutine and no clock; stage.go and service.go are the shells.
package index
