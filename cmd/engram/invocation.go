package main

import (
	"path/filepath"
	"strings"
)

// invocation returns how to call this program again, from the name that it was called by: `go run` calls a binary in its
// build cache, or in a folder that it deletes afterwards.
func invocation(called string) string {
	for part := range strings.SplitSeq(filepath.ToSlash(called), "/") {
		if strings.HasPrefix(part, "go-build") {
			return "go run ./cmd/engram"
		}
	}
	if strings.ContainsAny(called, " '\"$`\\()&;") {
		return "'" + strings.ReplaceAll(called, "'", `'\''`) + "'" // as a shell needs it
	}
	return called
}
