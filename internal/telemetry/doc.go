// Package telemetry is engram's use of OpenTelemetry: spans and metrics taken from outside the stages, through the
// graph's hooks, and the trace context that clients send.
//
// Each offer has a span, "offer <source>", under the client's trace; each run of a stage's code on a batch has one
// under that, "stage <name>". A batch made of several offers hangs under the first that is sampled and links to the
// others. Spans last as long as the call, with what it sends downstream; engram.stage.duration does not count the
// sends. All names are in names.go.
//
// New takes the providers, Hooks goes into graph.Options, WatchEdges reports queues, Extract reads a traceparent.
// Without a provider Hooks is nil and nothing is spent. Exporters are their provider's business, not this package's.
package telemetry
