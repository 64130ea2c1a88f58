// Package smalllife carries 42 short memories of an invented person, written for engram, so that the demo has something
// to recall that a person can read.
package smalllife

import (
	_ "embed" // the memories
	"fmt"
	"strings"
)

//go:embed memories.txt
var memories string

// Memory is one of them: a sentence in English, and a name such as "life-07".
type Memory struct {
	ID      string
	Content string
}

// Memories returns all of them, in order.
func Memories() []Memory {
	lines := strings.Split(strings.TrimSpace(memories), "\n")
	all := make([]Memory, len(lines))
	for i, line := range lines {
		all[i] = Memory{ID: fmt.Sprintf("life-%02d", i+1), Content: line}
	}
	return all
}
