package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestWhatIsMisspelt: the word at fault is named, with what it seems to mean, and never another page of help.
func TestWhatIsMisspelt(t *testing.T) {
	for want, args := range map[string][]string{
		`unknown command "nope" (see: engram --help)`:                               {"help", "nope"},
		`unknown command "recal"; did you mean "recall"? (see: engram --help)`:      {"help", "recal"},
		`unknown command "prin"; did you mean "print"? (see: engram config --help)`: {"help", "config", "prin"},
		`unknown command "recall1"; did you mean "recall"? (see: engram --help)`:    {"recall1", "diary", "--text", "x"},
		`unknown command "prnt"; did you mean "print"? (see: engram config --help)`: {"config", "prnt", "--data", "x"},
		`unknown flag: --txt (see: engram recall --help)`:                           {"recall", "diary", "--txt", "x"},
		`unknown flag: --nope (see: engram --help)`:                                 {"--nope"},
		`--limit "abc": give a whole number`:                                        {"recall", "diary", "--limit", "abc"},
		`--min-score "high": give a number`:                                         {"recall", "diary", "--min-score", "high"},
		`--timeout "10": give a time such as 10s`:                                   {"recall", "diary", "--timeout", "10"},
		`--text: there is nothing in it`:                                            {"recall", "diary", "--text", " "},
		`--like: there is nothing in it`:                                            {"recall", "diary", "--text", "x", "--like", ""},
		`give one of --text, --vector and --like (see: engram recall --help)`:       {"recall", "diary"},
	} {
		r := engram(t, args...)
		assert.Equal(t, exitUsage, r.code, args)
		assert.Equal(t, "engram: "+want+"\n", r.stderr)
		assert.Empty(t, r.stdout)
	}
	assert.Equal(t, engram(t, "recall", "--help"), engram(t, "help", "recall"))
	assert.Contains(t, engram(t, "help").stdout, "Available Commands:")
	assert.Contains(t, engram(t, "help", "exit-codes").stdout, "Exit codes:")
}
