package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// Observation is one thing to remember: a vector, and what it stands for; or a text alone, of which the server makes the
// vector. It is copied before the call returns; the
// caller may use its slices and maps again.
type Observation struct {
	// ID names the memory, at most 128 bytes. Observing the same ID again replaces it. Empty: the server derives one
	// from the session and the sequence number; see Pending.MemoryID.
	ID string
	// Content is returned as it came, at most 1 MiB of UTF-8.
	Content string
	// Metadata holds at most 64 values: strings (at most 4 KiB), bools, any integer that fits an int64, floats.
	Metadata map[string]any
	// Embedding has as many components as the space's dimension, all finite. The first one stored in a space without
	// a dimension decides it. Under cosine it must not be all zeros. Empty: the server makes it of Content, by the
	// embedder that the space has, or that the first such text gives it.
	Embedding []float32
	// ObservedAt is when it happened, by your clock. The zero time: not said.
	ObservedAt time.Time
	// Confidence is in [0, 1]. nil: 1.
	Confidence *float32
}

// encode checks what would make the whole message unsendable and returns the wire form. What else may be wrong with an
// observation is for the server to say, so that the rules live in one place.
func (o *Observation) encode() (*engramv1.Observation, error) {
	if err := checkText("ID", o.ID); err != nil {
		return nil, err
	}
	if err := checkText("Content", o.Content); err != nil {
		return nil, err
	}
	w := &engramv1.Observation{MemoryId: o.ID, Content: o.Content, EmbeddingF32: encodeVector(o.Embedding)}
	if len(o.Metadata) > 0 {
		metadata, err := encodeMetadata(o.Metadata)
		if err != nil {
			return nil, err
		}
		w.Metadata = metadata
	}
	if o.Confidence != nil {
		w.Confidence = new(*o.Confidence)
	}
	if !o.ObservedAt.IsZero() {
		w.ObservedAt = timestamppb.New(o.ObservedAt)
	}
	return w, nil
}

// checkText refuses what protobuf cannot carry: one such string would fail the whole batch, for ever.
func checkText(field, s string) error {
	if !utf8.ValidString(s) {
		return invalid(field, "not valid UTF-8")
	}
	return nil
}

func encodeMetadata(m map[string]any) (map[string]*engramv1.MetadataValue, error) {
	out := make(map[string]*engramv1.MetadataValue, len(m))
	for k, v := range m {
		if err := checkText("Metadata", k); err != nil {
			return nil, err
		}
		value, err := encodeValue(v)
		if err != nil {
			return nil, invalid(fmt.Sprintf("Metadata[%q]", k), "%v", err)
		}
		out[k] = value
	}
	return out, nil
}

func encodeValue(v any) (*engramv1.MetadataValue, error) {
	if n, ok := asInt(v); ok {
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_IntValue{IntValue: n}}, nil
	}
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("not valid UTF-8")
		}
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_StringValue{StringValue: v}}, nil
	case bool:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_BoolValue{BoolValue: v}}, nil
	case float64:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_DoubleValue{DoubleValue: v}}, nil
	case float32:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_DoubleValue{DoubleValue: float64(v)}}, nil
	case uint64, uint, uintptr:
		return nil, fmt.Errorf("%v does not fit an int64", v)
	}
	return nil, fmt.Errorf("a %T is not a string, bool, integer or float", v)
}

// asInt returns v as an int64 if it is an integer that fits one.
func asInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case int16:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint:
		return int64(v), uint64(v) <= math.MaxInt64
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

// decodeMetadata returns string, int64, float64 and bool values.
func decodeMetadata(m map[string]*engramv1.MetadataValue) map[string]any {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch kind := v.GetKind().(type) {
		case *engramv1.MetadataValue_StringValue:
			out[k] = kind.StringValue
		case *engramv1.MetadataValue_IntValue:
			out[k] = kind.IntValue
		case *engramv1.MetadataValue_DoubleValue:
			out[k] = kind.DoubleValue
		case *engramv1.MetadataValue_BoolValue:
			out[k] = kind.BoolValue
		}
	}
	return out
}

// encodeVector returns the components as little-endian float32, the fast one of the two wire encodings.
func encodeVector(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	return b
}

func decodeVector(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}
