package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInvocation(t *testing.T) {
	for called, want := range map[string]string{
		"/tmp/go-build1/b001/exe/engram":        "go run ./cmd/engram",
		"/root/.cache/go-build/ab/abc-d/engram": "go run ./cmd/engram",
		"bin/engram":                            "bin/engram",
		"engram":                                "engram",
		"/opt/engram 1/engram":                  "'/opt/engram 1/engram'",
		"/opt/it's/engram":                      `'/opt/it'\''s/engram'`,
	} {
		assert.Equal(t, want, invocation(called), called)
	}
}

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{"": "''", "a/b-c.jsonl": "a/b-c.jsonl", "a b": "'a b'", "*": "'*'", "it's": `'it'\''s'`} {
		assert.Equal(t, want, shellWord(text))
	}
}
