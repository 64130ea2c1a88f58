package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// givenFlags returns the flags that a command was called with, as words for a shell, without some of them.
func givenFlags(cmd *cobra.Command, without ...string) (words []string) {
	cmd.Flags().Visit(func(given *pflag.Flag) {
		value := given.Value.String()
		if list, ok := given.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		switch {
		case slices.Contains(without, given.Name):
		case given.Value.Type() == "bool":
			words = append(words, "--"+given.Name)
		default:
			words = append(words, "--"+given.Name, shellWord(value))
		}
	})
	return words
}
