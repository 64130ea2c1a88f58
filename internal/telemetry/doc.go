// Package telemetry is engram's use of OpenTelemetry: spans taken from outside the stages, through the graph's hooks,
// metrics read from what the graph and the server count anyway, and the trace context that clients send.
//
// Each offer has a span, "offer <source>", under the client's trace; each run of a stage's code on a batch has one
// under that, "stage <name>". A batch made of several offers has one in the trace of each that is sampled. Spans last
// as long as the call, with what it sends downstream; engram.stage.duration does not count the sends. All names are in
// names.go, and for users in docs/telemetry.md.
//
// New takes the providers; Hooks goes into graph.Options, RPC before the handlers of calls, Recalls around recalls; Watch
// reports what is read from a server, Stages how long its stages took; Extract reads a traceparent. Without a provider
// none of them does anything and nothing is spent. Exporters are in package export.
package telemetry
