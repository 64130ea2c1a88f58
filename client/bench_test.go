package client

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// BenchmarkObserve streams observations of 768 components over loopback to a server that only takes notes: what a
// client and the transport cost, both ends counted.
func BenchmarkObserve(b *testing.B) {
	f := &flowServer{t: &testing.T{}, window: 16384}
	f.start("127.0.0.1:0")
	defer f.stop()
	c, err := New(f.address)
	require.NoError(b, err)
	defer c.Close()
	s, err := c.Open(b.Context(), "notes", SessionOptions{})
	require.NoError(b, err)
	o := Observation{ID: "x", Embedding: make([]float32, 768)}
	w, err := o.encode()
	require.NoError(b, err)
	b.SetBytes(int64(proto.Size(w)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		_, err := s.Observe(b.Context(), o)
		require.NoError(b, err)
	}
	require.NoError(b, s.Flush(b.Context()))
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "observations/s")
	_, err = s.Close(b.Context())
	require.NoError(b, err)
}
