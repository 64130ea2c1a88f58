package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// interrupted is standard output that ends the run with the first line on it.
type interrupted struct{ end context.CancelFunc }

func (i interrupted) Write(p []byte) (int, error) {
	i.end()
	return len(p), nil
}

// TestADemoThatIsBrokenOff: it says that, and not what it was about to do with which buffer.
func TestADemoThatIsBrokenOff(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var stderr strings.Builder
	code := run(ctx, []string{"demo"}, strings.NewReader(""), interrupted{end: cancel}, &stderr)
	assert.Equal(t, exitInterrupted, code)
	assert.Equal(t, "engram: interrupted before the demo was done\n", stderr.String())

	stderr.Reset()
	assert.Equal(t, exitInterrupted, run(ctx, []string{"demo"}, strings.NewReader(""), io.Discard, &stderr))
	assert.Equal(t, "engram: interrupted before the demo was done\n", stderr.String())
}
