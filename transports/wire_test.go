package transports

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// near draws lengths at and around a limit, where rules and checks could disagree.
func near(limit int) *rapid.Generator[int] {
	return rapid.OneOf(rapid.IntRange(0, 8), rapid.IntRange(max(limit-2, 0), limit+2))
}

// text draws a string of a length in bytes, of one- or two-byte characters, so that bytes and characters differ.
func text(limit int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		n := near(limit).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "wide") {
			return strings.Repeat("é", n/2) + strings.Repeat("x", n%2)
		}
		return strings.Repeat("x", n)
	})
}

func metadataValue() *rapid.Generator[*engramv1.MetadataValue] {
	return rapid.Custom(func(t *rapid.T) *engramv1.MetadataValue {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_StringValue{StringValue: text(memory.MaxMetadataValue).Draw(t, "string")}}
		case 1:
			return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_IntValue{IntValue: rapid.Int64().Draw(t, "int")}}
		case 2:
			return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_DoubleValue{DoubleValue: rapid.Float64().Draw(t, "double")}}
		case 3:
			return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_BoolValue{BoolValue: rapid.Bool().Draw(t, "bool")}}
		case 4:
			return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_StringValue{StringValue: "short"}}
		}
		return &engramv1.MetadataValue{}
	})
}

func observation() *rapid.Generator[*engramv1.Observation] {
	return rapid.Custom(func(t *rapid.T) *engramv1.Observation {
		o := &engramv1.Observation{
			MemoryId:     text(memory.MaxMemoryID).Draw(t, "id"),
			Content:      text(memory.MaxContent).Draw(t, "content"),
			Embedding:    make([]float32, near(memory.MaxDimension).Draw(t, "embedding")),
			EmbeddingF32: make([]byte, near(4*memory.MaxDimension).Draw(t, "packed")),
			Metadata:     map[string]*engramv1.MetadataValue{},
		}
		for i := range near(memory.MaxMetadataPairs).Draw(t, "pairs") {
			o.Metadata[strings.Repeat("k", i+1)] = &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_BoolValue{}}
		}
		if rapid.Bool().Draw(t, "one more") {
			o.Metadata[""] = metadataValue().Draw(t, "value")
		}
		if rapid.Bool().Draw(t, "confident") {
			c := rapid.OneOf(rapid.Float32Range(-0.5, 1.5), rapid.SampledFrom([]float32{
				0, 1, float32(math.NaN()), float32(math.Inf(1)), math.Nextafter32(1, 2), -math.SmallestNonzeroFloat32,
			})).Draw(t, "confidence")
			o.Confidence = &c
		}
		return o
	})
}

// TestHandChecksEqualTheRules: the hot path's checks accept exactly what the schema's rules accept.
func TestHandChecksEqualTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observation().Draw(t, "observation")
		rules := protovalidate.Validate(o)
		ours := checkObservation(o)
		if (rules == nil) != (ours == nil) {
			t.Fatalf("rules say %v, the check says %+v", rules, ours)
		}
		if ours != nil {
			assert.Equal(t, fault.InvalidArgument.Code(), ours.Code)
			assert.NotEmpty(t, ours.Reason)
		}
	})
}

func TestBatchChecksEqualTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &engramv1.ObserveBatch{
			FirstSequence: rapid.Uint64Range(0, 3).Draw(t, "first"),
			Observations:  make([]*engramv1.Observation, near(memory.MaxBatch).Draw(t, "observations")),
			Traceparent:   text(maxTraceparent).Draw(t, "traceparent"),
		}
		for i := range b.Observations {
			b.Observations[i] = &engramv1.Observation{}
		}
		if rules, ours := protovalidate.Validate(b), checkBatch(b); (rules == nil) != (ours == nil) {
			t.Fatalf("rules say %v, the check says %v", rules, ours)
		}
	})
}

func TestObservationsComeThroughWhole(t *testing.T) {
	confidence := float32(0.5)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	o := &engramv1.Observation{
		MemoryId: "id", Content: "content", ObservedAt: timestamppb.New(at), Confidence: &confidence,
		Embedding: []float32{1, 2}, EmbeddingF32: []byte{1, 2, 3, 4},
		Metadata: map[string]*engramv1.MetadataValue{
			"s": {Kind: &engramv1.MetadataValue_StringValue{StringValue: "x"}}, "i": {Kind: &engramv1.MetadataValue_IntValue{IntValue: -3}},
			"d": {Kind: &engramv1.MetadataValue_DoubleValue{DoubleValue: 1.5}}, "b": {Kind: &engramv1.MetadataValue_BoolValue{BoolValue: true}},
		},
	}
	raw := &session.RawObservation{}
	malformed := observationFromWire(raw, o)
	require.Nil(t, malformed)
	assert.Equal(t, &session.RawObservation{
		ID: "id", Content: "content", ObservedAt: at, Confidence: &confidence, Embedding: []float32{1, 2}, EmbeddingF32: []byte{1, 2, 3, 4},
		Metadata: map[string]memory.Value{"s": "x", "i": int64(-3), "d": 1.5, "b": true},
	}, raw)
	back := hitToWire(&memory.Hit{ID: raw.ID, Content: raw.Content, Metadata: raw.Metadata, ObservedAt: raw.ObservedAt, Embedding: []float32{1, 2}})
	for key, value := range o.GetMetadata() {
		assert.True(t, proto.Equal(value, back.GetMetadata()[key]), key)
	}
	assert.Equal(t, at, back.GetObservedAt().AsTime())
	assert.Equal(t, []float32{1, 2}, unpack(back.GetEmbeddingF32()))
	assert.Nil(t, back.GetReceivedAt(), "a time that is not known is left out")
}

// TestAnyObservationComesBackAsItWent: what the checks let in leaves again as a hit with the same fields, also through the
// bytes of both.
func TestAnyObservationComesBackAsItWent(t *testing.T) {
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		o := observation().Draw(t, "observation")
		o.Embedding, o.EmbeddingF32 = rapid.SliceOfN(rapid.Float32(), 1, 8).Draw(t, "vector"), nil
		if rapid.Bool().Draw(t, "dated") {
			o.ObservedAt = &timestamppb.Timestamp{
				Seconds: rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), Nanos: rapid.Int32Range(1, 999_999_999).Draw(t, "nanos"),
			}
		}
		sent := &engramv1.Observation{}
		text, err := proto.Marshal(o)
		require.NoError(t, err)
		require.NoError(t, proto.Unmarshal(text, sent))
		raw := &session.RawObservation{}
		malformed := observationFromWire(raw, sent)
		if malformed != nil {
			return
		}
		taken++
		hit := &engramv1.Hit{}
		text, err = proto.Marshal(hitToWire(&memory.Hit{
			ID: raw.ID, Content: raw.Content, Metadata: raw.Metadata, ObservedAt: raw.ObservedAt, Embedding: raw.Embedding,
		}))
		require.NoError(t, err)
		require.NoError(t, proto.Unmarshal(text, hit))
		back := &engramv1.Observation{
			MemoryId: hit.GetMemoryId(), Content: hit.GetContent(), Metadata: hit.GetMetadata(), ObservedAt: hit.GetObservedAt(),
			Confidence: raw.Confidence, Embedding: unpack(hit.GetEmbeddingF32()),
		}
		require.True(t, proto.Equal(o, back), "%v came back as %v", o, back)
	})
	assert.Positive(t, taken)
}

func TestWhatTheRulesDoNotSay(t *testing.T) {
	ttl := observationFromWire(&session.RawObservation{}, &engramv1.Observation{Ttl: durationpb.New(time.Minute)})
	require.NotNil(t, ttl)
	assert.Equal(t, fault.Unimplemented.Code(), ttl.Code)
	assert.Equal(t, "ttl", ttl.Field)
	late := observationFromWire(&session.RawObservation{}, &engramv1.Observation{ObservedAt: &timestamppb.Timestamp{Seconds: math.MaxInt64}})
	require.NotNil(t, late)
	assert.Equal(t, "observed_at", late.Field)
	assert.NotNil(t, observationFromWire(&session.RawObservation{}, nil))
	offer := observeOffer(&session.Attachment{}, 1, []*engramv1.Observation{nil}, 0, time.Now(), nil)
	assert.NotNil(t, offer.Items[0].Observe, "an item always has its payload")
	assert.NotNil(t, offer.Items[0].Malformed)
}

func TestOffersNumberAndWeighTheirItems(t *testing.T) {
	from := &session.Attachment{}
	offer := observeOffer(from, 41, observeFrame(0, "a", "bb").GetObserve().GetObservations(), 0, time.Now(), nil)
	require.Len(t, offer.Items, 2)
	assert.Equal(t, []uint64{41, 42}, []uint64{offer.Items[0].Sequence, offer.Items[1].Sequence})
	assert.Equal(t, []bool{false, true}, []bool{offer.Items[0].EndOfFrame, offer.Items[1].EndOfFrame})
	assert.Equal(t, offer.Bytes[0]+1, offer.Bytes[1], "a byte of content weighs a byte")
	assert.Equal(t, uint64(offer.Bytes[0])+uint64(offer.Bytes[1]), payload(offer))
}

// FuzzObservation: whatever parses is translated without a panic, agrees with the rules and keeps its payload.
func FuzzObservation(f *testing.F) {
	for _, o := range observeFrame(1, "a", "b").GetObserve().GetObservations() {
		seed, err := proto.Marshal(o)
		require.NoError(f, err)
		f.Add(seed)
	}
	f.Add([]byte{0x1a, 0x02, 0x12, 0x00}) // a metadata pair whose value is empty
	f.Fuzz(func(t *testing.T, data []byte) {
		o := &engramv1.Observation{}
		if proto.Unmarshal(data, o) != nil {
			t.Skip("not an observation")
		}
		rules := protovalidate.Validate(o)
		raw := &session.RawObservation{}
		malformed := observationFromWire(raw, o)
		require.NotNil(t, raw)
		if rules != nil {
			require.NotNil(t, malformed, "%v", rules)
		}
		if malformed == nil {
			assert.Len(t, raw.Metadata, len(o.GetMetadata()))
			assert.Equal(t, o.GetContent(), raw.Content)
		}
		assert.Positive(t, weight(o, 0))
	})
}

// TestItemsWeighTheirWireBytes: a client counts what it sends against its byte credit, and is granted more by what the
// server counts. If that were less, its credit would be used up for good.
func TestItemsWeighTheirWireBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observation().Draw(t, "observation")
		assert.GreaterOrEqual(t, int(weight(o, 0)), proto.Size(o))
		id := text(memory.MaxMemoryID).Draw(t, "id")
		target := &engramv1.ForgetTarget{MemoryIds: slices.Repeat([]string{id}, rapid.IntRange(1, memory.MaxForgetIDs).Draw(t, "ids"))}
		offer := forgetOffer(&session.Attachment{}, 1, target, time.Now(), nil)
		assert.GreaterOrEqual(t, int(payload(offer)), proto.Size(target))
	})
}

// FuzzQuery: a query that is taken has a text or a vector of finite components, and a limit in range.
func FuzzQuery(f *testing.F) {
	seed, err := proto.Marshal(recallFrame(1).GetRecall().GetQuery())
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		q := &engramv1.RecallQuery{}
		if proto.Unmarshal(data, q) != nil || Validate(q) != nil {
			t.Skip("not a query, or against the rules")
		}
		out, err := queryFromWire(q, 1000)
		if err != nil {
			assert.NotNil(t, fault.As(err))
			return
		}
		assert.NotEqual(t, len(out.Vector) > 0, out.Text != "", "one of them")
		assert.True(t, out.Limit >= 1 && out.Limit <= 1000)
		for _, x := range out.Vector {
			assert.False(t, math.IsNaN(float64(x)) || math.IsInf(float64(x), 0))
		}
	})
}
