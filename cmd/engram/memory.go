package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/engram-stream/engram/client"
)

// memoryJSON is a memory in the tool's output.
type memoryJSON struct {
	ID         string         `json:"memory_id"`
	Version    uint64         `json:"version"`
	Confidence float32        `json:"confidence"`
	ObservedAt time.Time      `json:"observed_at,omitzero"`
	ReceivedAt time.Time      `json:"received_at,omitzero"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	Embedding  []float32      `json:"embedding,omitempty"`
}

func newMemoryJSON(m *client.Memory) memoryJSON {
	return memoryJSON{
		ID: m.ID, Version: m.Version, Confidence: m.Confidence, ObservedAt: m.ObservedAt, ReceivedAt: m.ReceivedAt,
		Content: m.Content, Metadata: jsonMetadata(m.Metadata), Embedding: m.Embedding,
	}
}

// jsonMetadata names the numbers that JSON does not have, as protobuf's JSON does.
func jsonMetadata(m map[string]any) map[string]any {
	m = maps.Clone(m)
	for key, value := range m {
		switch v, _ := value.(float64); {
		case math.IsNaN(v):
			m[key] = "NaN"
		case math.IsInf(v, 1):
			m[key] = "Infinity"
		case math.IsInf(v, -1):
			m[key] = "-Infinity"
		}
	}
	return m
}

// write is for people: a line a field, the content last and in full, indented where it has lines.
func (m *memoryJSON) write(w io.Writer) {
	fmt.Fprintln(w, oneLine(m.ID))
	line := func(name, value string) {
		fmt.Fprintf(w, "  %-12s%s\n", name, strings.ReplaceAll(value, "\n", "\n              "))
	}
	line("version", strconv.FormatUint(m.Version, 10))
	if !m.ObservedAt.IsZero() {
		line("observed", m.ObservedAt.UTC().Format(time.RFC3339Nano))
	}
	line("received", m.ReceivedAt.UTC().Format(time.RFC3339Nano))
	line("confidence", strconv.FormatFloat(float64(m.Confidence), 'g', -1, 32))
	if len(m.Metadata) > 0 {
		line("metadata", compact(m.Metadata))
	}
	if len(m.Embedding) > 0 {
		line("embedding", compact(m.Embedding))
	}
	if m.Content != "" {
		line("content", m.Content)
	}
}
