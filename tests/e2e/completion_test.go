package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/client"
)

// completeInBash sources the script that engram prints and completes the last of its arguments. What the package
// bash-completion has beside it, and the script uses, is the first function.
const completeInBash = `
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
_filedir() { COMPREPLY=("files: $*"); }
compopt() { :; }
source <("$1" completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
__start_engram
printf '%s\n' "${COMPREPLY[@]}"
`

func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	s := freshServer(t)
	for _, name := range []string{"faces", "fashion", "notes"} {
		_, err := s.client().CreateSpace(within(t, time.Minute), client.Space{Name: name, Dimension: 2, Metric: client.Cosine})
		require.NoError(t, err)
	}
	complete := func(line ...string) []string {
		script := filepath.Join(t.TempDir(), "complete.bash")
		require.NoError(t, os.WriteFile(script, []byte(completeInBash), 0o600))
		cmd := exec.Command(bash, append([]string{"--norc", script, engram}, line...)...)
		cmd.Env = append(os.Environ(), "ENGRAM_ADDRESS="+s.address)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		var words []string
		for word := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
			words = append(words, strings.TrimSpace(word))
		}
		return words
	}
	assert.Equal(t, []string{"observe"}, complete("obs"))
	assert.Equal(t, []string{"faces", "fashion"}, complete("recall", "fa"))
	assert.Equal(t, []string{"faces", "fashion", "notes"}, complete("sessions", "--space", ""))
	assert.Equal(t, []string{"--like"}, complete("recall", "notes", "--lik"))
	assert.Equal(t, []string{"mermaid"}, complete("graph", "--format", "m"))
	assert.Equal(t, []string{""}, complete("recall", "notes", ""))
}
