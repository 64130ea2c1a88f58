package sequence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
)

func problems(c *Config) []string {
	var fields []string
	c.Check(func(field, _, _ string) { fields = append(fields, field) })
	return fields
}

func TestConfigIsChecked(t *testing.T) {
	r := graph.NewRegistry()
	Register(r)
	defaults := r.Lookup(graph.RoleStage, "sequence").NewConfig().(*Config)
	assert.Empty(t, problems(defaults))
	assert.Equal(t, Config{Gap: "nack", DetachTTL: time.Hour, MaxDetached: 100_000}, *defaults)
	cases := map[string]struct {
		change func(c *Config)
		want   []string
	}{
		"gap":             {func(c *Config) { c.Gap = "wait" }, []string{"gap"}},
		"short ttl":       {func(c *Config) { c.DetachTTL = 59 * time.Second }, []string{"detach_ttl"}},
		"shortest ttl":    {func(c *Config) { c.DetachTTL = time.Minute }, nil},
		"longest ttl":     {func(c *Config) { c.DetachTTL = 168 * time.Hour }, nil},
		"long ttl":        {func(c *Config) { c.DetachTTL = 169 * time.Hour }, []string{"detach_ttl"}},
		"none detached":   {func(c *Config) { c.MaxDetached = 0 }, []string{"max_detached"}},
		"several at once": {func(c *Config) { *c = Config{} }, []string{"gap", "detach_ttl", "max_detached"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			config := *defaults
			c.change(&config)
			assert.Equal(t, c.want, problems(&config))
		})
	}
}

func TestTheSessionPolicyIsExported(t *testing.T) {
	s := &stage{policy: policy{Config{DetachTTL: time.Minute, MaxDetached: 7}}}
	require.Len(t, s.Exports(), 1)
	exported, ok := s.Exports()[0].(SessionPolicy)
	require.True(t, ok)
	assert.Equal(t, time.Minute, exported.DetachTTL())
	assert.Equal(t, 7, exported.MaxDetached())
}
