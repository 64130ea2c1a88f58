package transports

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// recipe reads the choices that make a message from fuzzed bytes; when they run out, it chooses 0.
type recipe []byte

func (r *recipe) next() byte {
	if len(*r) == 0 {
		return 0
	}
	b := (*r)[0]
	*r = (*r)[1:]
	return b
}

// near chooses a length: one byte is a small one, or one at a limit or around it.
func (r *recipe) near(limit int) int {
	b := int(r.next())
	if b < 128 {
		return b % 16
	}
	return max(0, limit+b%8-4)
}

// text chooses a string by its length in bytes: of one, two, three or four bytes a character, or no text at all.
func (r *recipe) text(limit int) string {
	n := r.near(limit)
	alphabet := []string{"x", "é", "€", "🙂", "\xff", "\x00"}
	letter := alphabet[int(r.next())%len(alphabet)]
	return strings.Repeat(letter, n/len(letter)) + strings.Repeat("x", n%len(letter))
}

func (r *recipe) bits() uint64 {
	var b [8]byte
	for i := range b {
		b[i] = r.next()
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (r *recipe) value() *engramv1.MetadataValue {
	switch r.next() % 6 {
	case 0:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_StringValue{StringValue: r.text(memory.MaxMetadataValue)}}
	case 1:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_IntValue{IntValue: int64(r.bits())}}
	case 2:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_DoubleValue{DoubleValue: math.Float64frombits(r.bits())}}
	case 3:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_BoolValue{BoolValue: r.next()%2 == 0}}
	case 4:
		return &engramv1.MetadataValue{}
	}
	return nil
}

// observation chooses every field; most are left out most of the time, so that one violation does not hide another.
func (r *recipe) observation() *engramv1.Observation {
	o, fields := &engramv1.Observation{}, r.next()
	if fields&1 != 0 {
		o.MemoryId = r.text(memory.MaxMemoryID)
	}
	if fields&2 != 0 {
		o.Content = r.text(memory.MaxContent)
	}
	if fields&4 != 0 {
		o.Embedding = make([]float32, r.near(memory.MaxDimension))
	}
	if fields&8 != 0 {
		o.EmbeddingF32 = make([]byte, r.near(4*memory.MaxDimension))
	}
	if fields&16 != 0 {
		c := math.Float32frombits(uint32(r.bits()))
		if r.next()%2 == 0 { // of all bits few are near 0 or 1
			c = []float32{0, 1, math.Nextafter32(1, 2), -math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1)), float32(math.NaN())}[r.next()%6]
		}
		o.Confidence = &c
	}
	if fields&32 != 0 {
		o.Metadata = map[string]*engramv1.MetadataValue{}
		for i := range r.near(memory.MaxMetadataPairs) {
			o.Metadata[strings.Repeat("k", i)] = &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_BoolValue{}}
		}
		for range r.next() % 4 {
			o.Metadata[r.text(memory.MaxMetadataKey)] = r.value()
		}
	}
	if fields&64 != 0 { // no rule is about these
		o.ObservedAt, o.Ttl = &timestamppb.Timestamp{Seconds: int64(r.bits())}, &durationpb.Duration{Seconds: int64(r.bits())}
	}
	return o
}

func (r *recipe) batch() *engramv1.ObserveBatch {
	b := &engramv1.ObserveBatch{FirstSequence: uint64(r.next() % 4), Traceparent: r.text(maxTraceparent)}
	if r.next()%4 == 0 {
		b.FirstSequence = r.bits()
	}
	b.Observations = make([]*engramv1.Observation, r.near(memory.MaxBatch))
	for i := range b.Observations {
		b.Observations[i] = &engramv1.Observation{}
	}
	return b
}

// unruledFrame says whether the check alone refuses a frame, by design: numbers that run past the last one, and what this
// version does not serve.
func unruledFrame(b *engramv1.ObserveBatch) bool {
	return b.GetImmediate() || b.GetFirstSequence() > math.MaxUint64-uint64(len(b.GetObservations()))
}

// FuzzHandChecks holds the checks of the hot path to the schema's rules, both ways, on messages that are made of the
// bytes rather than parsed from them: within a few bytes one gets to a limit of a megabyte, and to what no decoder
// makes, such as texts that are not UTF-8. What the checks refuse beside the rules is named: unruledFrame for a frame,
// checkUnruled for an observation, and an observation that is nil.
func FuzzHandChecks(f *testing.F) {
	f.Add([]byte{})
	for field := range 7 {
		f.Add([]byte{1 << field, 130, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11})
		f.Add([]byte{1 << field, 133, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := recipe(data)
		b := r.batch()
		rules, ours := protovalidate.Validate(b), checkBatch(b)
		require.Equal(t, rules != nil || unruledFrame(b), ours != nil, "the frame's rules say %v, the check says %v", rules, ours)

		o := r.observation()
		rules = protovalidate.Validate(o)
		rejected := checkObservation(o)
		require.Equal(t, rules != nil, rejected != nil, "the rules say %v, the check says %+v", rules, rejected)
		malformed := observationFromWire(&session.RawObservation{}, o)
		require.Equal(t, rejected != nil || checkUnruled(o) != nil, malformed != nil)
	})
}
