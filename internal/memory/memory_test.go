package memory_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/internal/memory"
)

func TestMetricNames(t *testing.T) {
	assert.Equal(t, []string{"cosine", "dot", "l2", "unknown", "unknown"}, []string{
		memory.Cosine.String(), memory.Dot.String(), memory.L2.String(), memory.Metric(0).String(), memory.Metric(4).String(),
	})
}

// TestLimitsAreTheSchemas reads the rules in the .proto sources: a limit lives in two places, and must be one.
func TestLimitsAreTheSchemas(t *testing.T) {
	limits := []struct{ file, message, field, rule, want string }{
		{"memory.proto", "Observation", "string memory_id = 1", "max_bytes", strconv.Itoa(memory.MaxMemoryID)},
		{"memory.proto", "Observation", "string content = 2", "max_bytes", strconv.Itoa(memory.MaxContent)},
		{"memory.proto", "Observation", "metadata = 3", "max_pairs", strconv.Itoa(memory.MaxMetadataPairs)},
		{"memory.proto", "MetadataValue", "string string_value = 1", "max_bytes", strconv.Itoa(memory.MaxMetadataValue)},
		{"memory.proto", "Condition", "string key = 1", "max_bytes", strconv.Itoa(memory.MaxMetadataKey)},
		{"memory.proto", "Observation", "repeated float embedding = 7", "max_items", strconv.Itoa(memory.MaxDimension)},
		{"memory.proto", "Observation", "bytes embedding_f32 = 8", "max_len", strconv.Itoa(4 * memory.MaxDimension)},
		{"memory.proto", "ForgetTarget", "repeated string memory_ids = 1", "max_items", strconv.Itoa(memory.MaxForgetIDs)},
		{"memory.proto", "RecallQuery", "uint32 limit = 3", "lte", strconv.Itoa(memory.MaxRecallLimit)},
		{"flow.proto", "ObserveBatch", "repeated Observation observations = 2", "max_items", strconv.Itoa(memory.MaxBatch)},
		{"admin.proto", "Space", "string name = 1", "max_len", strconv.Itoa(memory.MaxSpaceName)},
		{"admin.proto", "Space", "uint32 dimension = 2", "lte", strconv.Itoa(memory.MaxDimension)},
	}
	for _, l := range limits {
		text, err := os.ReadFile("../../proto/engram/v1/" + l.file)
		require.NoError(t, err)
		_, message, found := strings.Cut(string(text), "\nmessage "+l.message+" {")
		require.True(t, found, "%s has no message %q", l.file, l.message)
		_, rest, found := strings.Cut(message, l.field)
		require.True(t, found, "%s has no %q", l.message, l.field)
		rules, _, _ := strings.Cut(rest, ";")
		got := regexp.MustCompile(`\b` + l.rule + `\D*(\d+)`).FindStringSubmatch(rules)
		require.NotNil(t, got, "%s: %q has no rule %s", l.message, l.field, l.rule)
		assert.Equal(t, l.want, got[1], "%s: %q: %s", l.message, l.field, l.rule)
	}
}
