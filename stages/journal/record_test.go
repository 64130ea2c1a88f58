package journal

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/stages/journal/log"
)

func anyTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "given") {
			// The years 1 to 9999: what a protobuf timestamp holds, and more than nanoseconds in 64 bits do.
			return time.Unix(rapid.Int64Range(-62135596799, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		}
		return time.Time{}
	})
}

func anyValue() *rapid.Generator[memory.Value] {
	return rapid.OneOf(
		rapid.Map(rapid.String(), func(v string) memory.Value { return v }),
		rapid.Map(rapid.Int64(), func(v int64) memory.Value { return v }),
		rapid.Map(rapid.Float64(), func(v float64) memory.Value { return v }),
		rapid.Map(rapid.Bool(), func(v bool) memory.Value { return v }),
	)
}

func anyRejection() *rapid.Generator[memory.Rejection] {
	return rapid.Custom(func(t *rapid.T) memory.Rejection {
		return memory.Rejection{Code: rapid.Uint32().Draw(t, "code"), Reason: rapid.String().Draw(t, "reason"), Field: rapid.String().Draw(t, "field")}
	})
}

func anyOp() *rapid.Generator[memory.Op] {
	return rapid.Custom(func(t *rapid.T) memory.Op {
		op := memory.Op{Sequence: rapid.Uint64().Draw(t, "sequence"), Kind: rapid.SampledFrom([]memory.OpKind{memory.OpObserve, memory.OpForget, memory.OpRejected}).Draw(t, "kind")}
		switch op.Kind {
		case memory.OpObserve:
			op.Observe = &memory.Observation{
				ID: rapid.String().Draw(t, "id"), Content: rapid.String().Draw(t, "content"),
				ObservedAt: anyTime().Draw(t, "observed"), ReceivedAt: anyTime().Draw(t, "received"),
				Confidence: rapid.Float32Range(0, 1).Draw(t, "confidence"),
				Vector:     rapid.SliceOfN(rapid.Float32(), 1, 20).Draw(t, "vector"),
			}
			if m := rapid.MapOf(rapid.String(), anyValue()).Draw(t, "metadata"); len(m) > 0 {
				op.Observe.Metadata = m
			}
		case memory.OpForget:
			op.Forget = &memory.Forget{ReceivedAt: anyTime().Draw(t, "received"), ObservedBefore: anyTime().Draw(t, "before")}
			for range rapid.IntRange(0, 5).Draw(t, "ids") {
				op.Forget.IDs = append(op.Forget.IDs, rapid.String().Draw(t, "id"))
			}
		case memory.OpRejected:
			r := anyRejection().Draw(t, "rejection")
			op.Rejection = &r
		}
		return op
	})
}

func TestOpsComeBackAsTheyWent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := anyOp().Draw(t, "op")
		b := appendOp([]byte("front"), op)[5:]
		got, err := decodeOp(b)
		require.NoError(t, err)
		require.Equal(t, op, got)
		clear(b) // nothing is shared with the buffer
		require.Equal(t, op, got)
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		_, err = decodeOp(appendOp(nil, op)[:cut])
		require.Error(t, err, "cut short")
	})
}

func TestVectorsKeepTheirBits(t *testing.T) {
	for _, c := range []float32{0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, math.MaxFloat32, 0.1} {
		op := memory.Op{Kind: memory.OpObserve, Observe: &memory.Observation{Vector: []float32{c}}}
		got, err := decodeOp(appendOp(nil, op))
		require.NoError(t, err)
		require.Equal(t, math.Float32bits(c), math.Float32bits(got.Observe.Vector[0]))
	}
}

func anyRecord() *rapid.Generator[record] {
	return rapid.Custom(func(t *rapid.T) record {
		name, id, at := rapid.String().Draw(t, "space"), rapid.String().Draw(t, "session"), rapid.Int64().Draw(t, "at")
		n := rapid.Uint64Min(1)
		switch rapid.IntRange(1, 6).Draw(t, "kind") {
		case 1:
			return &unitRecord{
				Space: name, Incarnation: n.Draw(t, "incarnation"), Session: id, Epoch: n.Draw(t, "epoch"), First: n.Draw(t, "first"),
				Count: 100, Base: memory.Version(n.Draw(t, "base")), Unary: rapid.Bool().Draw(t, "unary"),
				Remember: rapid.Bool().Draw(t, "remember"), At: at, Rejected: anyRuns(t),
			}
		case 2:
			return &spaceRecord{
				Space: name, Incarnation: n.Draw(t, "incarnation"), Dimension: rapid.IntRange(0, memory.MaxDimension).Draw(t, "dimension"),
				Metric: memory.Metric(rapid.IntRange(1, 3).Draw(t, "metric")), At: at,
				Embedder: rapid.StringN(-1, -1, memory.MaxEmbedder).Draw(t, "embedder"),
			}
		case 3:
			return &openedRecord{
				Session: id, Space: name, TokenHash: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")),
				TTL: time.Duration(rapid.Int64Min(0).Draw(t, "ttl")), At: at, Writer: rapid.String().Draw(t, "writer"),
			}
		case 4:
			return &resumedRecord{
				Session: id, Epoch: n.Draw(t, "epoch"), LastCommitted: rapid.Uint64().Draw(t, "last"), At: at,
				Writer: rapid.String().Draw(t, "writer"),
			}
		case 5:
			return &endedRecord{Session: id, Epoch: n.Draw(t, "epoch"), At: at}
		}
		return &deletedRecord{Space: name, Incarnation: n.Draw(t, "incarnation"), At: at}
	})
}

func anyRuns(t *rapid.T) (runs []rejectedRun) {
	for next := uint64(0); ; {
		start := next + rapid.Uint64Range(0, 30).Draw(t, "skip")
		count := rapid.Uint64Range(1, 5).Draw(t, "count")
		if start+count > 100 {
			return runs
		}
		runs = append(runs, rejectedRun{Start: start, Count: count, Rejection: anyRejection().Draw(t, "rejection")})
		next = start + count
	}
}

func TestRecordsComeBackAsTheyWent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord().Draw(t, "record")
		b := r.append(nil)
		got, err := decodeRecord(r.kind(), b)
		require.NoError(t, err)
		require.Equal(t, r, got)
		_, err = decodeRecord(r.kind(), b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")])
		require.Error(t, err, "cut short")
		_, err = decodeRecord(r.kind(), append(b, 0))
		require.Error(t, err, "something left over")
	})
}

// Whatever bytes come, decoding ends without a panic; what decodes has one meaning.
func FuzzDecodeOp(f *testing.F) {
	f.Add(appendOp(nil, memory.Op{Kind: memory.OpForget, Sequence: 3, Forget: &memory.Forget{IDs: []string{"a", "b"}, ReceivedAt: time.Unix(1, 2), ObservedBefore: time.Unix(3, 4)}}))
	f.Add(appendOp(nil, memory.Op{Kind: memory.OpRejected, Sequence: 3, Rejection: &memory.Rejection{Code: 3, Reason: "why"}}))
	f.Add(appendOp(nil, memory.Op{Kind: memory.OpObserve, Sequence: 1 << 40, Observe: &memory.Observation{
		ID: "id", Metadata: map[string]memory.Value{"s": "x", "i": int64(-1), "f": 0.5, "b": true}, ReceivedAt: time.Unix(1, 2),
		Vector: []float32{1, 2},
	}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		op, err := decodeOp(b)
		if err != nil {
			return
		}
		once := appendOp(nil, op)
		again, err := decodeOp(once)
		require.NoError(t, err)
		require.Equal(t, once, appendOp(nil, again))
	})
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []record{
		&unitRecord{Space: "faces", Incarnation: 1, Session: "s", Epoch: 1, First: 1, Count: 9, Base: 1, Rejected: []rejectedRun{{Start: 2, Count: 3}}},
		&spaceRecord{Space: "faces", Incarnation: 1, Dimension: 3, Metric: memory.L2, At: 5, Embedder: "lexical"},
		&openedRecord{Session: "s", Space: "faces", TTL: time.Hour},
		&resumedRecord{Session: "s", Epoch: 2},
		&endedRecord{Session: "s", Epoch: 2},
		&deletedRecord{Space: "faces", Incarnation: 1},
	} {
		f.Add(uint8(r.kind()), r.append(nil))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		r, err := decodeRecord(log.Kind(kind), b)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.kind(), r.append(nil))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
