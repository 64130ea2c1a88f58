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
	return shellWord(called)
}

// shellWord returns a text as a shell takes it for one word.
func shellWord(text string) string {
	if text == "" || strings.ContainsAny(text, " \t\n'\"$`\\()&;|<>*?[]{}#~!") {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}

func shellWords(texts []string) []string {
	words := make([]string, len(texts))
	for i, text := range texts {
		words[i] = shellWord(text)
	}
	return words
}
