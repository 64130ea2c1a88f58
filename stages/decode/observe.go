package decode

import (
	"fmt"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// observe makes an observation, or says why there can be none.
func observe(in *session.Incoming, to *target) (*memory.Observation, *memory.Rejection) {
	raw := in.Observe
	if r := checkLimits(raw); r != nil {
		return nil, r
	}
	vector, r := decodeVector(raw, to)
	if r != nil {
		return nil, r
	}
	o := to.room.observation()
	*o = memory.Observation{
		ID:         raw.ID,
		Content:    raw.Content,
		Metadata:   raw.Metadata,
		ObservedAt: raw.ObservedAt,
		ReceivedAt: in.Received,
		Confidence: 1,
		Vector:     vector,
	}
	if raw.Confidence != nil {
		o.Confidence = *raw.Confidence
	}
	if o.ID == "" {
		// A resend has the same session and number, so it gets the same name.
		o.ID = to.room.name(in.From.SessionID, in.Sequence)
	}
	return o, nil
}

// checkLimits holds an observation to the limits of its parts. The wire schema states the same ones, but for the
// length of a metadata key, which only a filter's schema bounds.
func checkLimits(raw *session.RawObservation) *memory.Rejection {
	switch {
	case len(raw.ID) > memory.MaxMemoryID:
		return invalid("memory_id", "%d bytes, the most is %d", len(raw.ID), memory.MaxMemoryID)
	case len(raw.Content) > memory.MaxContent:
		return invalid("content", "%d bytes, the most is %d", len(raw.Content), memory.MaxContent)
	case raw.Confidence != nil && !(*raw.Confidence >= 0 && *raw.Confidence <= 1): // NaN fails both
		return invalid("confidence", "must be from 0 to 1, got %v", *raw.Confidence)
	case len(raw.Metadata) > memory.MaxMetadataPairs:
		return invalid("metadata", "%d pairs, the most is %d", len(raw.Metadata), memory.MaxMetadataPairs)
	}
	for key, value := range raw.Metadata {
		if r := checkPair(key, value); r != nil {
			return r
		}
	}
	return nil
}

func checkPair(key string, value memory.Value) *memory.Rejection {
	if len(key) > memory.MaxMetadataKey {
		return invalid("metadata", "a key of %d bytes, the most is %d", len(key), memory.MaxMetadataKey)
	}
	field := func() string { return fmt.Sprintf("metadata[%q]", key) }
	switch v := value.(type) {
	case string:
		if len(v) > memory.MaxMetadataValue {
			return invalid(field(), "%d bytes, the most is %d", len(v), memory.MaxMetadataValue)
		}
	case int64, float64, bool:
	default:
		return invalid(field(), "must be a string, an integer, a double or a bool")
	}
	return nil
}
