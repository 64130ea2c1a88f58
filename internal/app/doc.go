// Package app is the composition root: it turns a pipeline file into a running server, and stops it in order.
//
// New loads and checks a pipeline and builds its graph, touching nothing. Start locks the data folder, listens, opens
// the stages (which replays the journal) and then says ready. Stop is graceful: not ready, streams are told to go,
// the graph drains, acks are written, the listener closes, the folder is unlocked.
//
// Everything is served on one address: the pipeline's sources, /livez, /healthz and /readyz.
package app
