package smalllife

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemories(t *testing.T) {
	all := Memories()
	require.Len(t, all, 42)
	require.Equal(t, Memory{ID: "life-01", Content: "She drinks green tea in the morning and never coffee after noon."}, all[0])
	seen := map[string]bool{}
	for _, m := range all {
		require.NotEmpty(t, m.Content)
		require.False(t, seen[m.Content], m.Content)
		seen[m.Content] = true
	}
}
