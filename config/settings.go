package config

import (
	"fmt"
	"net"
	"strconv"

	"github.com/engram-stream/engram/graph"
)

// Settings are the keys of a pipeline file beside its wiring. Their defaults stand in default.yaml.
type Settings struct {
	Version int    `yaml:"version"` // of the file's format: 1
	Listen  string `yaml:"listen"`  // host:port
	Data    string `yaml:"data"`    // the data folder, relative to the working folder of the process
	Budget  Budget `yaml:"budget"`
	Recall  Recall `yaml:"recall"`
	Limits  Limits `yaml:"limits"`
}

// Budget bounds what the process holds in memory for its sources.
type Budget struct {
	Items int            `yaml:"items"`
	Bytes graph.ByteSize `yaml:"bytes"`
}

// Recall bounds the pool that answers recalls.
type Recall struct {
	Workers  int `yaml:"workers"`   // recalls that run at once
	Queue    int `yaml:"queue"`     // recalls that may wait
	MaxLimit int `yaml:"max_limit"` // the most hits that one recall may ask for
}

// Limits bound what clients may open and send.
type Limits struct {
	Streams      int            `yaml:"streams"`       // open streams
	MessageBytes graph.ByteSize `yaml:"message_bytes"` // of one message on the wire
	Spaces       int            `yaml:"spaces"`
}

const (
	formatVersion = 1

	// offerItems is the most items a source offers at once: what one ObserveBatch of the protocol may hold.
	offerItems = 1024

	minMessageBytes = 64 << 10 // one observation of the largest dimension, with its content and metadata
	maxMessageBytes = 1 << 30
	maxBudgetItems  = 1 << 30
	maxBudgetBytes  = 1 << 44
	maxWorkers      = 1024
	maxQueue        = 1 << 20
	maxHits         = 10000 // the protocol's
	maxStreams      = 1 << 20
	maxSpaces       = 10_000_000
)

// settingProblems checks the values as they stand after all layers.
func (p *Pipeline) settingProblems() graph.Diagnostics {
	var found graph.Diagnostics
	p.check(func(path, message, hint string) {
		found = append(found, graph.Diagnostic{Pos: p.origins[path].Pos, Message: path + ": " + message, Hint: hint})
	})
	return found
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
	for _, b := range []struct {
		path          string
		is, low, high int64
	}{
		{"budget.items", int64(s.Budget.Items), 1, maxBudgetItems},
		{"budget.bytes", int64(s.Budget.Bytes), minMessageBytes, maxBudgetBytes},
		{"recall.workers", int64(s.Recall.Workers), 1, maxWorkers},
		{"recall.queue", int64(s.Recall.Queue), 0, maxQueue},
		{"recall.max_limit", int64(s.Recall.MaxLimit), 1, maxHits},
		{"limits.streams", int64(s.Limits.Streams), 1, maxStreams},
		{"limits.message_bytes", int64(s.Limits.MessageBytes), minMessageBytes, maxMessageBytes},
		{"limits.spaces", int64(s.Limits.Spaces), 1, maxSpaces},
	} {
		if b.is < b.low || b.is > b.high {
			report(b.path, fmt.Sprintf("%d is out of range", b.is), fmt.Sprintf("from %d to %d", b.low, b.high))
		}
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

// respec carries the settings that the wiring depends on into the spec.
func (p *Pipeline) respec() {
	p.Spec.Budget = graph.Window{Items: p.Budget.Items, Bytes: int64(p.Budget.Bytes)}
	p.Spec.BudgetPos = p.origins["budget.items"].Pos
	for i := range p.Spec.Nodes {
		if n := &p.Spec.Nodes[i]; n.Role == graph.RoleSource {
			n.Offers = graph.Window{Items: offerItems, Bytes: int64(p.Limits.MessageBytes)}
		}
	}
}
