package app

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/engram-stream/engram/config"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, s *Server) map[string]*dto.MetricFamily {
	t.Helper()
	status, text := page(t, s, "/metrics")
	require.Equal(t, http.StatusOK, status, text)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	return families
}

// value is what a family says under a label, or without one when it has none.
func value(t *testing.T, families map[string]*dto.MetricFamily, name, label string) float64 {
	t.Helper()
	require.Contains(t, families, name)
	for _, m := range families[name].GetMetric() {
		if label == "" || slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	require.Fail(t, "no such label", "%s of %s", label, name)
	return 0
}

// busyServer has given each verdict that a client can bring about by itself, answered recalls, and holds a stream open.
func busyServer(t *testing.T) *Server {
	t.Helper()
	s := startServer(t, t.TempDir())
	f, _ := join(t, s, faces())
	f.observe(1, seen("a", 1, 0), seen("b", 0, 1), seen("of another dimension", 1, 2, 3))
	f.ack(3)
	f.observe(2, seen("b", 0, 1))    // a duplicate
	f.observe(9, seen("gap", 1, 1))  // nacked
	f.observe(4, seen("more", 1, 1)) // accepted
	f.ack(4)
	f.recall(1, &engramv1.RecallQuery{Embedding: []float32{1, 0}, Limit: 1})
	client := memoryClient(t, s)
	_, err := client.Observe(t.Context(), connect.NewRequest(&engramv1.ObserveRequest{Space: "faces", Observations: []*engramv1.Observation{seen("c", 1, 1)}}))
	require.NoError(t, err)
	_, err = client.Recall(t.Context(), connect.NewRequest(&engramv1.RecallRequest{Space: "none", Query: &engramv1.RecallQuery{Embedding: []float32{1, 0}}}))
	require.Error(t, err)
	return s
}

func TestMetricsSayWhatGetStatsSays(t *testing.T) {
	s := busyServer(t)
	want := stats(t, s)
	got := scrape(t, s)
	verdicts := map[string]uint64{
		"accepted": want.GetAccepted(), "duplicate": want.GetDuplicate(), "nacked": want.GetNacked(),
		"rejected": want.GetRejected(), "superseded": want.GetSuperseded(), "aborted": want.GetAborted(),
	}
	for verdict, n := range verdicts {
		assert.Equal(t, float64(n), value(t, got, "engram_verdicts_total", verdict), verdict)
	}
	assert.Equal(t, map[string]uint64{"accepted": 4, "duplicate": 1, "nacked": 1, "rejected": 1, "superseded": 0, "aborted": 0}, verdicts)
	assert.Equal(t, float64(want.GetCommitted()), value(t, got, "engram_committed_total", ""))
	assert.Equal(t, float64(want.GetInFlight()), value(t, got, "engram_in_flight", ""))
	assert.Equal(t, float64(want.GetQueueDepth()), value(t, got, "engram_budget_items", ""))
	assert.Equal(t, float64(want.GetQueueCapacity()), value(t, got, "engram_budget_limit_items", ""))
	assert.Equal(t, float64(want.GetSessionsAttached()), value(t, got, "engram_sessions", "attached"))
	assert.Equal(t, float64(want.GetSessionsDetached()), value(t, got, "engram_sessions", "detached"))
}

// A space that is large enough gets a graph, and what is known of it is the same for operators and programs.
func TestMetricsSayWhatGetStatsSaysOfTheIndex(t *testing.T) {
	pipeline, err := os.ReadFile("../../config/default.yaml")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "pipeline.yaml")
	require.NoError(t, os.WriteFile(file, bytes.Replace(pipeline, []byte("graph_from: 50000"), []byte("graph_from: 1000"), 1), 0o600))
	s, err := New(Config{File: file, Overrides: []config.Override{flag("listen", "127.0.0.1:0"), flag("data", t.TempDir())}, LookupEnv: noEnvironment})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stop(t, s) })
	client := memoryClient(t, s)
	for i := range 3 {
		r := &engramv1.ObserveRequest{Space: "faces"}
		for j := range 500 {
			r.Observations = append(r.Observations, seen(strconv.Itoa(500*i+j), float32(j), float32(i)))
		}
		_, err := client.Observe(t.Context(), connect.NewRequest(r))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return stats(t, s).GetIndex().GetGraphedVectors() > 1000 }, patience, 10*time.Millisecond)
	want := stats(t, s).GetIndex()
	got := scrape(t, s)
	for name, labelled := range map[string]map[string]uint64{
		"engram_index_spaces": {"graphed": 1, "scanned": 0, "unloaded": 0, "degraded": 0},
		"engram_index_bytes": {
			"codes": want.GetCodesBytes(), "graphs": want.GetGraphsBytes(), "records": want.GetRecordsBytes(), "ids": want.GetIdsBytes(),
			"unloaded": 0,
		},
		"engram_index_vectors":       {"graphed": want.GetGraphedVectors(), "scanned": want.GetScannedVectors()},
		"engram_index_behind":        {"": want.GetBehindVectors()},
		"engram_index_space_behind":  {"": want.GetMostBehindVectors()},
		"engram_index_merges_total":  {"success": want.GetMerges(), "failure": 0},
		"engram_index_merged_total":  {"": want.GetMergedVectors()},
		"engram_index_removed_total": {"": want.GetRemovedVectors()},
		"engram_index_rebuilt_total": {"": 0},
		"engram_index_waits_total":   {"": 0},
	} {
		for label, n := range labelled {
			assert.Equal(t, float64(n), value(t, got, name, label), "%s %s", name, label)
		}
	}
	assert.Equal(t, want.GetGraphedVectors(), stats(t, s).GetGraphed())
	assert.GreaterOrEqual(t, value(t, got, "engram_index_merging_seconds_total", ""), want.GetMerging().AsDuration().Seconds())
	assert.Positive(t, want.GetMergedVectors())
}

func TestMetricsSayWhatIsGoingOn(t *testing.T) {
	got := scrape(t, busyServer(t))
	assert.Equal(t, 1.0, value(t, got, "engram_streams", ""))
	assert.LessOrEqual(t, value(t, got, "engram_calls", ""), 1.0, "the last one may just be going")
	assert.Equal(t, 1.0, value(t, got, "engram_recall_duration_seconds", "success"))
	assert.Equal(t, 1.0, value(t, got, "engram_recall_duration_seconds", "refused"), "of a space that is not there")
	assert.Equal(t, 4096.0, value(t, got, "engram_edge_window_items", "index"))
	assert.Positive(t, value(t, got, "engram_worker_busy_seconds_total", "coalesce"))
	assert.Equal(t, 7.0, value(t, got, "engram_stage_items_total", "decode"))
	assert.Positive(t, value(t, got, "engram_stage_duration_seconds", "decode"))
	assert.Equal(t, 1.0, value(t, got, "rpc_server_call_duration_seconds", "engram.v1.MemoryService/Observe"))
	assert.Equal(t, 1.0, value(t, got, "target_info", "engram"))
	assert.Equal(t, 1.0, value(t, got, "target_info", "v0.0.0-test"))
	assert.Equal(t, 0.0, value(t, got, "engram_spans_lost_total", "no_room"))
}

// TestAServerNamesTheSpacesThatItIsBusyWith: while one is written to.
func TestAServerNamesTheSpacesThatItIsBusyWith(t *testing.T) {
	s := startServer(t, t.TempDir())
	client := memoryClient(t, s)
	assert.Empty(t, stats(t, s).GetHeaviestSpaces())
	require.Eventually(t, func() bool {
		_, err := client.Observe(t.Context(), connect.NewRequest(&engramv1.ObserveRequest{Space: "faces", Observations: []*engramv1.Observation{seen("a", 1, 1)}}))
		require.NoError(t, err)
		heaviest := stats(t, s).GetHeaviestSpaces()
		return len(heaviest) == 1 && heaviest[0].GetSpace() == "faces" && heaviest[0].GetBusy() > 0.001 && heaviest[0].GetBusiestStage() != ""
	}, patience, time.Millisecond)
}

// TestTheGuideNamesEveryMetric holds docs/telemetry.md equal to the page: names, types and labels.
func TestTheGuideNamesEveryMetric(t *testing.T) {
	text, err := os.ReadFile("../../docs/telemetry.md")
	require.NoError(t, err)
	documented := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\|([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[2] + ": " + strings.ReplaceAll(strings.TrimSpace(m[3]), "`", "")
	}
	served := map[string]string{}
	for name, family := range scrape(t, busyServer(t)) {
		labels := map[string]bool{}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		served[name] = strings.ToLower(family.GetType().String()) + ": " + strings.Join(slices.Sorted(maps.Keys(labels)), ", ")
	}
	assert.Equal(t, served, documented)
}

func TestThePageOfMetricsStandsWhereThePipelineSays(t *testing.T) {
	t.Run("elsewhere", func(t *testing.T) {
		s := startServer(t, t.TempDir(), flag("telemetry.metrics", "/internal/metrics"))
		status, text := page(t, s, "/internal/metrics")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, text, "engram_budget_items 0")
		status, _ = page(t, s, "/metrics")
		assert.Equal(t, http.StatusNotFound, status)
	})
	t.Run("off", func(t *testing.T) {
		s := startServer(t, t.TempDir(), flag("telemetry.metrics", ""))
		status, _ := page(t, s, "/metrics")
		assert.Equal(t, http.StatusNotFound, status)
		assert.Nil(t, s.reports.edge, "nothing is measured")
		assert.Nil(t, s.reports.recalls)
	})
	t.Run("given another provider", func(t *testing.T) {
		s, err := New(Config{
			Overrides: []config.Override{flag("listen", "127.0.0.1:0"), flag("data", t.TempDir())},
			LookupEnv: noEnvironment, MeterProvider: metricnoop.NewMeterProvider(),
		})
		require.NoError(t, err)
		require.NoError(t, s.Start(t.Context()))
		t.Cleanup(func() { stop(t, s) })
		status, _ := page(t, s, "/metrics")
		assert.Equal(t, http.StatusNotFound, status)
	})
	t.Run("of another page", func(t *testing.T) {
		_, err := New(Config{Overrides: []config.Override{flag("telemetry.metrics", "/readyz")}, LookupEnv: noEnvironment})
		assert.ErrorContains(t, err, "--telemetry.metrics: telemetry.metrics: /readyz is the page that says whether the server is up")
	})
}

func TestTheMetricsOfAServerThatStarts(t *testing.T) {
	s := makeServer(t, t.TempDir())
	r := s.reading(t.Context())
	assert.Nil(t, r.Server, "the journal is not open yet")
	assert.NotZero(t, r.Graph.Limit.Items)
}
