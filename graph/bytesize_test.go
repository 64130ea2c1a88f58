package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/graph"
)

func TestParseByteSize(t *testing.T) {
	for text, want := range map[string]graph.ByteSize{
		"0": 0, "17": 17, "64KiB": 64 << 10, "512MiB": 512 << 20, "8GiB": 8 << 30, "1MB": 1e6, "1.5GiB": 3 << 29, "2 kib": 2 << 10, "9B": 9, "2TB": 2e12,
	} {
		got, err := graph.ParseByteSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "MiB", "-1", "-1.5MiB", "12XB", "1e3", "0x10", "NaN", "9223372036854775808", "99999999TiB", "9e99", "1.2.3"} {
		_, err := graph.ParseByteSize(text)
		require.Error(t, err, text)
	}
}

func TestByteSizeReadsWhatItWrites(t *testing.T) {
	require.Equal(t, "1536MiB", graph.ByteSize(3<<29).String())
	require.Equal(t, "1000B", graph.ByteSize(1000).String())
	rapid.Check(t, func(t *rapid.T) {
		size := graph.ByteSize(rapid.Int64Range(0, 1<<62).Draw(t, "size"))
		text, err := size.MarshalText()
		require.NoError(t, err)
		var back graph.ByteSize
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, size, back)
	})
}
