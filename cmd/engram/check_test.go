package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWrongArgumentsAreRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"recall", "No Way", "--vector", "[1]"}, `"No Way" is no name for a space: use 1 to 64 of a-z, 0-9`},
		{[]string{"observe", ".x", "-"}, `".x" is no name for a space`},
		{[]string{"observe", strings.Repeat("x", 65), "-"}, "is no name for a space"},
		{[]string{"recall", "s", "--vector", "[1]", "--timeout", "0s"}, "--timeout 0s: give a time above zero, such as 10s"},
		{[]string{"recall", "s", "--vector", "[1]", "--address", "here:"}, `--address "here:": the port is missing`},
		{[]string{"spaces", "--address", "here:99999"}, `--address "here:99999": a port is a number from 1 to 65535`},
		{[]string{"recall", "s", "--vector", `["a"]`}, `--vector: component 0: want a number, got "a"`},
		{[]string{"recall", "s", "--vector", "{}"}, "--vector: want a list of numbers, got {}"},
		{[]string{"recall", "s", "--vector", "[1"}, "--vector: not valid JSON"},
		{[]string{"recall", "s", "--vector", "[1]", "--text", "tea"}, "give one of --text, --vector and --like"},
		{[]string{"observe", "s"}, "give a file or --text, one of them"},
		{[]string{"observe", "s", "x.txt", "--text", "tea"}, "give a file or --text, one of them"},
		{[]string{"observe", "s", "--text", " "}, "--text: there is nothing in it"},
		{[]string{"get", "s"}, "usage: engram get SPACE ID..."},
		{[]string{"get", "No Way", "a"}, `"No Way" is no name for a space`},
		{[]string{"get", "s", "a", ""}, "id 2 of 2 is empty"},
		{[]string{"forget"}, "usage: engram forget SPACE [ID...]"},
		{[]string{"forget", "s"}, "say what to forget: ids, --before, or both"},
		{[]string{"forget", "s", "--dry-run", "--yes"}, "say what to forget: ids, --before, or both"},
		{[]string{"forget", "No Way", "a"}, `"No Way" is no name for a space`},
		{[]string{"forget", "s", ""}, "id 1 of 1 is empty"},
		{[]string{"forget", "s", "a", "--before", ""}, `--before "": give a time such as 2026-01-31T00:00:00Z, or how long ago`},
		{[]string{"forget", "s", "--before", "yesterday"}, `--before "yesterday": give a time such as`},
		{[]string{"forget", "s", "--before", "0s"}, "--before 0s: give a time above zero, such as 720h"},
		{[]string{"forget", "s", "--before=-1h"}, "--before -1h: give a time above zero"},
		{[]string{"forget", "s", "--before", "30d"}, "give --yes, or --dry-run to only count"},
		{[]string{"serve", "--data", ""}, "the data folder has no name"},
		{[]string{"serve", "--listen", ""}, `"" is not an address`},
		{[]string{"serve", "--config", ""}, "--config names no file"},
		{[]string{"serve", "--stop-timeout", "0s"}, "--stop-timeout 0s: give a time above zero"},
		{[]string{"serve", "--stop-timeout", "-1s"}, "--stop-timeout -1s: give a time above zero"},
	} {
		r := engram(t, c.args...)
		assert.Equal(t, exitUsage, r.code, "%q: %s", c.args, r.stderr)
		assert.Contains(t, r.stderr, c.says)
	}
}

func TestAnAddressWithoutPort(t *testing.T) {
	for given, want := range map[string]string{
		"host": "host:7320", "host:1": "host:1", "::1": "[::1]:7320", "[::1]": "[::1]:7320", "[::1]:5": "[::1]:5",
		"http://host": "http://host", "": "",
	} {
		got, err := withPort(given)
		assert.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestATimeoutNamesTheServerAndItself(t *testing.T) {
	r := engram(t, "recall", "s", "--like", "a", "--timeout", "1ns", "--address", "127.0.0.1:1")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, "engram: get: no answer from 127.0.0.1:1 in time (--timeout 1ns)\n", r.stderr)
}
