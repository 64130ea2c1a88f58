package decode

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

var (
	faces    = memory.Space{Name: "faces", Dimension: 3, Metric: memory.Cosine, Settled: true}
	anything = memory.Space{Name: "new", Metric: memory.Cosine}
	received = time.Unix(1700000000, 0)
	from     = &session.Attachment{SessionID: "sabc", Space: "faces"}
)

func pack(vector ...float32) []byte {
	var out []byte
	for _, x := range vector {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func incoming(raw session.RawObservation) *session.Incoming {
	return &session.Incoming{From: from, Sequence: 7, Received: received, EndOfFrame: true, Observe: &raw}
}

// vectors is a space on a server that embeds nothing.
func vectors(space *memory.Space) *target { return &target{Space: *space} }

func TestDecodeFillsInWhatIsNotGiven(t *testing.T) {
	op := decode(incoming(session.RawObservation{Embedding: []float32{1, 2, 3}}), vectors(&faces))
	assert.Equal(t, session.Op{From: from, EndOfFrame: true, Op: memory.Op{
		Kind: memory.OpObserve, Sequence: 7,
		Observe: &memory.Observation{ID: "sabc-7", ReceivedAt: received, Confidence: 1, Vector: []float32{1, 2, 3}},
	}}, op)
}

func TestDecodeKeepsWhatIsGiven(t *testing.T) {
	metadata := map[string]memory.Value{"s": "x", "i": int64(-1), "f": math.NaN(), "b": false, "": ""}
	op := decode(incoming(session.RawObservation{
		ID: "m", Content: "c", Metadata: metadata, ObservedAt: received.Add(-time.Hour), Confidence: new(float32(0)),
		EmbeddingF32: pack(1, -2, 0.5),
	}), vectors(&faces))
	require.Equal(t, memory.OpObserve, op.Kind)
	o := *op.Observe
	assert.Equal(t, "m", o.ID)
	assert.Equal(t, "c", o.Content)
	assert.Len(t, o.Metadata, 5)
	assert.Equal(t, received.Add(-time.Hour), o.ObservedAt)
	assert.Zero(t, o.Confidence)
	assert.Equal(t, []float32{1, -2, 0.5}, o.Vector)
}

func TestDecodeForget(t *testing.T) {
	forget := &memory.Forget{IDs: []string{"a"}}
	op := decode(&session.Incoming{From: from, Sequence: 3, Forget: forget}, vectors(&faces))
	assert.Equal(t, session.Op{From: from, Op: memory.Op{Kind: memory.OpForget, Sequence: 3, Forget: forget}}, op)
}

func TestRejections(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	vector := []float32{1, 2, 3}
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	pairs := map[string]memory.Value{}
	for i := range memory.MaxMetadataPairs + 1 {
		pairs[fmt.Sprint(i)] = true
	}
	dot := memory.Space{Name: "dots", Dimension: 3, Metric: memory.Dot}
	cases := map[string]struct {
		raw    session.RawObservation
		space  *memory.Space
		field  string
		reason string // empty: accepted
	}{
		"no vector":             {session.RawObservation{Content: "text"}, &faces, "embedding", "there is no vector, and this server embeds no texts; give embedding or embedding_f32"},
		"neither":               {session.RawObservation{}, &faces, "embedding", "there is no vector; give embedding or embedding_f32"},
		"both encodings":        {session.RawObservation{Embedding: vector, EmbeddingF32: pack(1)}, &faces, "embedding_f32", "embedding and embedding_f32 are both given; send one of them"},
		"dimension":             {session.RawObservation{Embedding: vector[:2]}, &faces, "embedding", `space "faces" has dimension 3, got 2`},
		"packed dimension":      {session.RawObservation{EmbeddingF32: pack(1, 2, 3, 4)}, &faces, "embedding_f32", `space "faces" has dimension 3, got 4`},
		"half a float":          {session.RawObservation{EmbeddingF32: pack(1, 2, 3)[:10]}, &faces, "embedding_f32", "10 bytes are not a multiple of 4, the size of a float32"},
		"too many components":   {session.RawObservation{Embedding: make([]float32, 4097)}, &anything, "embedding", "4097 components, the most is 4096"},
		"packed too many":       {session.RawObservation{EmbeddingF32: make([]byte, 4*4097)}, &anything, "embedding_f32", "4097 components, the most is 4096"},
		"NaN":                   {session.RawObservation{Embedding: []float32{1, nan, 3}}, &faces, "embedding", "component 1 is NaN; every component must be finite"},
		"infinite":              {session.RawObservation{EmbeddingF32: pack(1, 2, inf)}, &faces, "embedding_f32", "component 2 is -Inf; every component must be finite"},
		"NaN before zero":       {session.RawObservation{Embedding: []float32{0, 0, nan}}, &faces, "embedding", "component 2 is NaN; every component must be finite"},
		"zero":                  {session.RawObservation{EmbeddingF32: pack(0, float32(math.Copysign(0, -1)), 0)}, &faces, "embedding_f32", "all 3 components are zero, which has no direction under cosine"},
		"zero in a new space":   {session.RawObservation{Embedding: []float32{0}}, &anything, "embedding", "all 1 components are zero, which has no direction under cosine"},
		"zero under dot":        {session.RawObservation{Embedding: []float32{0, 0, 0}}, &dot, "", ""},
		"the largest floats":    {session.RawObservation{Embedding: []float32{math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}}, &faces, "", ""},
		"the smallest float":    {session.RawObservation{Embedding: []float32{0, 0, -math.SmallestNonzeroFloat32}}, &faces, "", ""},
		"id":                    {session.RawObservation{Embedding: vector, ID: long[:129]}, &faces, "memory_id", "129 bytes, the most is 128"},
		"longest id":            {session.RawObservation{Embedding: vector, ID: long[:128]}, &faces, "", ""},
		"content":               {session.RawObservation{Embedding: vector, Content: long[:1<<20+1]}, &faces, "content", "1048577 bytes, the most is 1048576"},
		"longest content":       {session.RawObservation{Embedding: vector, Content: long[:1<<20]}, &faces, "", ""},
		"confidence":            {session.RawObservation{Embedding: vector, Confidence: new(float32(1.5))}, &faces, "confidence", "must be from 0 to 1, got 1.5"},
		"negative confidence":   {session.RawObservation{Embedding: vector, Confidence: new(float32(-0.1))}, &faces, "confidence", "must be from 0 to 1, got -0.1"},
		"confidence of NaN":     {session.RawObservation{Embedding: vector, Confidence: &nan}, &faces, "confidence", "must be from 0 to 1, got NaN"},
		"pairs":                 {session.RawObservation{Embedding: vector, Metadata: pairs}, &faces, "metadata", "65 pairs, the most is 64"},
		"key":                   {session.RawObservation{Embedding: vector, Metadata: map[string]memory.Value{long[:129]: true}}, &faces, "metadata", "a key of 129 bytes, the most is 128"},
		"value":                 {session.RawObservation{Embedding: vector, Metadata: map[string]memory.Value{"k": long[:4097]}}, &faces, `metadata["k"]`, "4097 bytes, the most is 4096"},
		"longest value":         {session.RawObservation{Embedding: vector, Metadata: map[string]memory.Value{"k": long[:4096]}}, &faces, "", ""},
		"value of another sort": {session.RawObservation{Embedding: vector, Metadata: map[string]memory.Value{"k": nil}}, &faces, `metadata["k"]`, "must be a string, an integer, a double or a bool"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			op := decode(incoming(c.raw), vectors(c.space))
			if c.reason == "" {
				assert.Equal(t, memory.OpObserve, op.Kind)
				return
			}
			require.Equal(t, memory.OpRejected, op.Kind)
			assert.Equal(t, &memory.Rejection{Code: fault.InvalidArgument.Code(), Field: c.field, Reason: c.reason}, op.Rejection)
			assert.Equal(t, uint64(7), op.Sequence, "the number is consumed")
			assert.True(t, op.EndOfFrame)
			assert.Nil(t, op.Observe)
		})
	}
}

func TestRejectionsOfForgetsAndOddItems(t *testing.T) {
	malformed := &memory.Rejection{Code: fault.Unimplemented.Code(), Field: "ttl", Reason: "ttl is not built yet"}
	cases := map[string]struct {
		in   session.Incoming
		want memory.Rejection
	}{
		"no ids":       {session.Incoming{Forget: &memory.Forget{}}, memory.Rejection{Code: 3, Field: "target.memory_ids", Reason: "nothing is named to forget"}},
		"too many ids": {session.Incoming{Forget: &memory.Forget{IDs: make([]string, 10001)}}, memory.Rejection{Code: 3, Field: "target.memory_ids", Reason: "10001 memories, the most is 10000"}},
		"malformed":    {session.Incoming{Malformed: malformed, Observe: &session.RawObservation{Embedding: []float32{1, 2, 3}}}, *malformed},
		"nothing":      {session.Incoming{}, memory.Rejection{Code: 3, Reason: "neither an observation nor a forget"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			op := decode(&c.in, vectors(&faces))
			assert.Equal(t, memory.Op{Kind: memory.OpRejected, Rejection: &c.want}, op.Op)
		})
	}
}

func TestRejectionTextIsBounded(t *testing.T) {
	op := decode(&session.Incoming{Malformed: &memory.Rejection{Code: 3, Field: strings.Repeat("é", 999), Reason: strings.Repeat("x", 999)}}, vectors(&faces))
	for _, text := range []string{op.Rejection.Field, op.Rejection.Reason} {
		assert.LessOrEqual(t, len(text), maxText)
		assert.Greater(t, len(text), maxText-8)
		assert.True(t, utf8.ValidString(text))
		assert.True(t, strings.HasSuffix(text, "…"))
	}
}

// TestUnboundedBits checks the branchless test of finiteness against the arithmetic one, over random bits and the
// edges of the exponent.
func TestUnboundedBits(t *testing.T) {
	check := func(bits uint32) bool {
		var c components
		c.add(bits)
		x := math.Float32frombits(bits)
		return (c.unbounded != 0) == (x-x != 0) && (c.nonzero == 0) == (x == 0)
	}
	for exponent := range uint32(256) {
		for _, mantissa := range []uint32{0, 1, 0x400000, 0x7fffff} {
			bits := exponent<<23 | mantissa
			require.True(t, check(bits) && check(bits|signBit), "%08x", bits)
		}
	}
	rapid.Check(t, func(t *rapid.T) { require.True(t, check(rapid.Uint32().Draw(t, "bits"))) })
}

// TestEncodingsAgree: a vector is the same op whichever way it is sent.
func TestEncodingsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vector := rapid.SliceOfN(rapid.Float32(), 1, 8).Draw(t, "vector")
		space := memory.Space{Name: "s", Dimension: rapid.IntRange(0, 8).Draw(t, "dimension"), Metric: memory.Metric(rapid.IntRange(1, 3).Draw(t, "metric"))}
		list := decode(incoming(session.RawObservation{Embedding: vector}), vectors(&space))
		packed := decode(incoming(session.RawObservation{EmbeddingF32: pack(vector...)}), vectors(&space))
		require.Equal(t, list.Kind, packed.Kind)
		if list.Kind == memory.OpObserve {
			require.Equal(t, list.Observe, packed.Observe)
		} else {
			require.Equal(t, list.Rejection.Reason, packed.Rejection.Reason)
		}
	})
}

// FuzzDecode: whatever comes in, one op comes out, and a vector that passes is fit to be stored.
func FuzzDecode(f *testing.F) {
	f.Add("id", "content", "key", "value", []byte{0, 0, 128, 63}, byte(0), float32(0.5), byte(1))
	f.Add("", "", "", "", []byte{0, 0, 192, 127, 1}, byte(1), float32(-1), byte(3))
	f.Add("", "", "", "", []byte{}, byte(2), float32(1), byte(0))
	f.Fuzz(func(t *testing.T, id, content, key, value string, vector []byte, shape byte, confidence float32, dimension byte) {
		raw := session.RawObservation{
			ID: id, Content: content, Metadata: map[string]memory.Value{key: value}, Confidence: &confidence, EmbeddingF32: vector,
		}
		if shape%2 == 1 {
			for _, b := range vector {
				raw.Embedding = append(raw.Embedding, math.Float32frombits(uint32(b)<<24))
			}
		}
		if shape%3 == 1 {
			raw.EmbeddingF32 = nil
		}
		space := memory.Space{Name: "s", Dimension: int(dimension), Metric: memory.Metric(shape%3 + 1)}
		op := decode(incoming(raw), vectors(&space))
		if op.Kind == memory.OpRejected {
			require.NotEmpty(t, op.Rejection.Reason)
			return
		}
		require.Equal(t, memory.OpObserve, op.Kind)
		require.True(t, len(op.Observe.Vector) >= 1 && len(op.Observe.Vector) <= memory.MaxDimension)
		require.True(t, space.Dimension == 0 || len(op.Observe.Vector) == space.Dimension)
		for _, x := range op.Observe.Vector {
			require.False(t, math.IsNaN(float64(x)) || math.IsInf(float64(x), 0))
		}
		require.NotEmpty(t, op.Observe.ID)
	})
}

func BenchmarkDecodePacked768(b *testing.B) {
	vector := make([]float32, 768)
	for i := range vector {
		vector[i] = float32(i)
	}
	in := incoming(session.RawObservation{ID: "m", EmbeddingF32: pack(vector...)})
	space := memory.Space{Name: "s", Dimension: 768, Metric: memory.Cosine}
	b.ReportAllocs()
	for b.Loop() {
		decode(in, vectors(&space))
	}
}
