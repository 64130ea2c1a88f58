package index

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMergesThatAlwaysFail: the space is rebuilt twice, the second time without a graph, and not at every write for ever.
func TestMergesThatAlwaysFail(t *testing.T) {
	j := newFakeJournal()
	s := openWith(t, graphed, j)
	var log bytes.Buffer // read when the merger has stopped
	s.merger.logger = slog.New(slog.NewTextHandler(&log, nil))
	s.merger.before = func() { panic("a bug") }
	all := vectors(1, 3000)
	before := graphed.GraphFrom // by its last batch
	feedIDs(t, s, j, 0, all[:before])
	opened := j.replayed()
	from := before
	for failures := 1; failures <= mostFailures; failures++ {
		require.Eventually(t, s.index.space("x").w.merged.failed.Load, 10*time.Second, time.Millisecond)
		feedIDs(t, s, j, from, all[from:from+250])
		from += 250
		require.Equal(t, opened+failures, j.replayed())
	}
	feedIDs(t, s, j, from, all[from:2900])
	s.merger.stop()
	require.Equal(t, opened+mostFailures, j.replayed(), "it is not rebuilt any more")
	g := s.index.space("x").view.Load().merged
	require.False(t, g.failed.Load())
	require.Nil(t, g.coverage.Load().graph)
	recall, fromGraph := found(t, s, all[2900:])
	assert.Greater(t, recall, 0.95)
	assert.Zero(t, fromGraph)
	require.Equal(t, 1, strings.Count(log.String(), "without a graph"), log.String())
	require.Contains(t, log.String(), "panic: a bug")
}
