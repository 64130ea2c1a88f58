// Package telemetry is engram's use of OpenTelemetry: spans and metrics taken from outside the stages, through the
// graph's hooks, and the trace context that clients send.
//
// Each offer has a span, "offer <source>", under the client's trace; each run of a stage's code on a batch has one
// under that, "stage <name>". A batch made of several offers has one in the trace of each that is sampled. Spans last
// as long as the call, with what it sends downstream; engram.stage.duration does not count the sends. All names are in
// names.go, and for users in docs/telemetry.md.
//
// New takes the providers; Hooks goes into graph.Options, RPC before the handlers of calls, Recalls around recalls; Watch
// reports what is read from a server; Extract reads a traceparent. Without a provider all of them are nil and nothing
// is spent. Exporters are in package export.
package telemetry
