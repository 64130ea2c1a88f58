// Package export sets the OpenTelemetry SDK up: spans go to a collector by OTLP over HTTP, metrics to whoever reads a
// page in Prometheus' format. What is measured is telemetry's business, whom this package gives its providers.
//
// New makes the ends that the settings name and touches nothing, Start begins to send, Stop sends what is left. It promises that a collector
// that is slow, wrong or gone holds nobody up: spans wait in a bounded queue, are dropped beyond it, and counted; a
// line a minute says so.
package export
