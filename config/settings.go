package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/engram-stream/engram/graph"
)

// Settings are the keys of a pipeline file beside its wiring. Their defaults stand in default.yaml; their comments, and
// those of the kinds' own settings, are what docs/configuration.md says of them.
type Settings struct {
	// The format of the file; every file says it.
	// Range: 1
	Version int `yaml:"version"`
	// Host:port to serve on; port 0 takes a free one; beyond loopback `serve` asks for `--insecure`.
	Listen string `yaml:"listen"`
	// The data folder, relative to the folder engram is started in; made when it is not there.
	Data   string `yaml:"data"`
	Budget Budget `yaml:"budget"`
	Recall Recall `yaml:"recall"`
	Embed  Embed  `yaml:"embed"`
	Limits Limits `yaml:"limits"`

	Telemetry Telemetry `yaml:"telemetry"`
}

// Budget bounds what the process holds in memory for its sources.
type Budget struct {
	// Observations in memory on their way to being durable and findable; clients' credits are cut from it.
	// Range: 1 to 2^30
	Items int `yaml:"items"`
	// The same in bytes; whichever is spent first slows clients down.
	// Range: 64KiB to 16TiB
	Bytes graph.ByteSize `yaml:"bytes"`
}

// Recall bounds the pool that answers recalls.
type Recall struct {
	// Recalls that run at once.
	// Range: 1 to 1024
	Workers int `yaml:"workers"`
	// Recalls that may wait; more are refused with a time to try again.
	// Range: 0 to 1048576
	Queue int `yaml:"queue"`
	// The most hits one recall may ask for.
	// Range: 1 to 10000
	MaxLimit int `yaml:"max_limit"`
	// What the answers of recalls and Gets hold in memory, over all clients, until those have taken them; more are refused
	// with a time to try again. Each stream may have 8 MiB of hits queued beside it.
	// Range: 1MiB to 16TiB
	AnswerBytes graph.ByteSize `yaml:"answer_bytes"`
}

// Limits bound what clients may open and send.
type Limits struct {
	// Open streams.
	// Range: 1 to 1048576
	Streams int `yaml:"streams"`
	// Unary calls at work; more are refused with a time to try again.
	// Range: 1 to 1048576
	Calls int `yaml:"calls"`
	// The largest message on the wire; each stream and call may hold one beside the budget.
	// Range: 64KiB to 1GiB
	MessageBytes graph.ByteSize `yaml:"message_bytes"`
	// Spaces.
	// Range: 1 to 10 million
	Spaces int `yaml:"spaces"`
}

// Telemetry says where metrics and traces go.
type Telemetry struct {
	// The path on `listen` that Prometheus scrapes; `""` serves none.
	Metrics string `yaml:"metrics"`
	Traces  Traces `yaml:"traces"`
}

// Traces are sent to a collector by OTLP over HTTP.
type Traces struct {
	// The URL of a collector that takes OTLP over HTTP, `http://127.0.0.1:4318`; without a path it is `/v1/traces`; `""` is off.
	OTLP string `yaml:"otlp"`
	// The part that is kept of what no client named a trace for; where one did, its own choice holds.
	// Range: 0 to 1
	Sample float64 `yaml:"sample"`
}

const (
	formatVersion = 1
	messageBytes  = "limits.message_bytes"

	// offerItems is the most items a source offers at once: what one ObserveBatch of the protocol may hold.
	offerItems = 1024

	minMessageBytes = 64 << 10 // one observation of the largest dimension, with its content and metadata
	maxMessageBytes = 1 << 30
	maxBudgetItems  = 1 << 30
	maxBudgetBytes  = 1 << 44
	maxWorkers      = 1024
	maxQueue        = 1 << 20
	maxHits         = 10000 // the protocol's
	minAnswerBytes  = 1 << 20
	maxStreams      = 1 << 20
	maxCalls        = 1 << 20
	maxSpaces       = 10_000_000
)

// settingProblems checks the values as they stand after all layers.
func (p *Pipeline) settingProblems() graph.Diagnostics {
	var found graph.Diagnostics
	p.check(func(path, message, hint string) {
		found = append(found, graph.Diagnostic{Pos: p.whereWrong(path), Message: path + ": " + message, Hint: hint})
	})
	return found
}

// whereWrong is where a setting's value came from. A default is sound by itself: then the embedder's kind asks for another.
func (p *Pipeline) whereWrong(path string) graph.Position {
	if strings.HasPrefix(path, "embed.") && !p.isSet(path) {
		path = "embed.kind"
	}
	return p.origins[path].Pos
}

func (s *Settings) check(report func(path, message, hint string)) {
	if s.Version != formatVersion {
		report("version", fmt.Sprintf("this engram reads version %d, not %d", formatVersion, s.Version), "")
	}
	if problem := addressProblem(s.Listen); problem != "" {
		report("listen", problem, "write host:port, such as 127.0.0.1:7320; port 0 takes a free one")
	}
	if s.Data == "" {
		report("data", "the data folder has no name", "such as ./data")
	}
	between(report, "budget.items", s.Budget.Items, 1, maxBudgetItems)
	between(report, "budget.bytes", s.Budget.Bytes, minMessageBytes, maxBudgetBytes)
	between(report, "recall.workers", s.Recall.Workers, 1, maxWorkers)
	between(report, "recall.queue", s.Recall.Queue, 0, maxQueue)
	between(report, "recall.max_limit", s.Recall.MaxLimit, 1, maxHits)
	between(report, "recall.answer_bytes", s.Recall.AnswerBytes, minAnswerBytes, maxBudgetBytes)
	s.Embed.check(report)
	between(report, "limits.streams", s.Limits.Streams, 1, maxStreams)
	between(report, "limits.calls", s.Limits.Calls, 1, maxCalls)
	between(report, messageBytes, s.Limits.MessageBytes, minMessageBytes, maxMessageBytes)
	between(report, "limits.spaces", s.Limits.Spaces, 1, maxSpaces)
	s.Telemetry.check(report)
}

func (t Telemetry) check(report func(path, message, hint string)) {
	if t.Metrics != "" && !pagePath.MatchString(t.Metrics) {
		report("telemetry.metrics", fmt.Sprintf("%q is not a path", shortened(t.Metrics)),
			`such as /metrics: letters, digits, "-", "_" and "." between slashes; "" serves none`)
	}
	if problem := collectorProblem(t.Traces.OTLP); problem != "" {
		report("telemetry.traces.otlp", problem, `such as http://127.0.0.1:4318; "" sends none`)
	}
	between(report, "telemetry.traces.sample", t.Traces.Sample, 0, 1)
}

// pagePath is a path that means the same to every server, proxy and scraper.
var pagePath = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,8}$`)

// collectorProblem says what is wrong with the URL of a collector, or nothing. The exporter would leave out silently
// what is refused here; a password would show in what is printed.
func collectorProblem(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("%q is not an http or https URL", shortened(address))
	case u.User != nil:
		return "the URL holds a user; headers for the collector go into OTEL_EXPORTER_OTLP_HEADERS"
	case u.RawQuery != "" || u.Fragment != "":
		return "a collector's URL ends with its path"
	}
	return ""
}

func between[T int | float64 | time.Duration | graph.ByteSize](report func(path, message, hint string), path string, is, low, high T) {
	if is < low || is > high {
		report(path, fmt.Sprintf("%v is out of range", is), fmt.Sprintf("from %v to %v", low, high))
	}
}

// addressProblem says what is wrong with a listen address, or nothing. Names are not resolved here.
func addressProblem(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("%q is not an address", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("%q is not a port from 0 to 65535", port)
	}
	return ""
}

// respec carries the settings that the wiring depends on into the spec. Those that are out of range have been reported;
// the wiring is judged with their defaults.
func (p *Pipeline) respec() {
	usable := p.Settings
	p.check(func(path, _, _ string) { settingOf(&usable, path).Set(settingOf(&p.defaults, path)) })
	p.Spec.Budget = graph.Window{Items: usable.Budget.Items, Bytes: int64(usable.Budget.Bytes)}
	for i := range p.Spec.Nodes {
		if n := &p.Spec.Nodes[i]; n.Role == graph.RoleSource {
			n.Offers = graph.Window{Items: offerItems, Bytes: int64(usable.Limits.MessageBytes)}
			n.OffersPos = p.blameMessages()
		}
	}
}

// blameMessages returns where the largest message was set when the budget was not: then it is at fault that the budget
// cannot hold it.
func (p *Pipeline) blameMessages() graph.Position {
	if p.isSet("budget.items") || p.isSet("budget.bytes") || !p.isSet(messageBytes) {
		return graph.Position{}
	}
	return p.origins[messageBytes].Pos
}

// ours moves a finding that stands in the embedded default to what makes it one: the wiring there fits the settings
// there.
func (p *Pipeline) ours(d graph.Diagnostic) graph.Diagnostic {
	switch {
	case d.Pos.File != defaultName:
	case p.isSet(messageBytes) && p.Limits.MessageBytes > p.defaults.Limits.MessageBytes:
		d.Pos = p.origins[messageBytes].Pos
	case p.isSet("budget.items") || p.isSet("budget.bytes"):
		d.Pos = p.Spec.BudgetPos
	}
	return d
}

func (p *Pipeline) isSet(path string) bool { return p.origins[path].Layer > Defaults }
