package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// again returns the words that call a command as it was called, save the flags in less.
func again(cmd *cobra.Command, called string, args []string, less ...string) []string {
	words := append([]string{invocation(called), cmd.Name()}, shellWords(args)...)
	cmd.Flags().Visit(func(given *pflag.Flag) {
		list, isList := given.Value.(pflag.SliceValue)
		switch {
		case slices.Contains(less, given.Name):
		case given.Value.Type() == "bool":
			words = append(words, "--"+given.Name)
		case isList:
			words = append(words, "--"+given.Name, shellWord(strings.Join(list.GetSlice(), ",")))
		default:
			words = append(words, "--"+given.Name, shellWord(given.Value.String()))
		}
	})
	return words
}

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
