package transports

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// The checks of ObserveBatch are written by hand: the schema's rules, run by reflection, cost more than the rest of
// the reader's work. Tests hold them equal to the rules.

// checkBatch finds what is wrong with the frame itself; such a frame ends its stream, since nothing in it has a
// number that a rejection could name.
func checkBatch(b *engramv1.ObserveBatch) error {
	switch n := len(b.GetObservations()); {
	case b.GetFirstSequence() == 0:
		return badFrame("observe.first_sequence", "numbers begin at 1")
	case n == 0:
		return badFrame("observe.observations", "the batch holds no observation")
	case n > memory.MaxBatch:
		return badFrame("observe.observations", "%d observations in one batch, the most is %d", n, memory.MaxBatch)
	case b.GetFirstSequence() > math.MaxUint64-uint64(n):
		return badFrame("observe.first_sequence", "the batch runs past the last sequence number")
	case utf8.RuneCountInString(b.GetTraceparent()) > maxTraceparent:
		return badFrame("observe.traceparent", "longer than %d characters", maxTraceparent)
	case b.GetImmediate():
		return unbuilt("observe.immediate")
	}
	return nil
}

// badFrame is a violation of the protocol that ends the stream.
func badFrame(field, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithField(field).WithReason("INVALID_FRAME")
}

// unbuilt says that a part of the protocol is not served by this version.
func unbuilt(name string) *fault.Error {
	return fault.New(fault.Unimplemented, "%s is not built yet", name).WithField(name).WithReason("NOT_BUILT").
		WithHint("leave it out; the README lists what this version does not serve")
}

// ungraphed says of an ack that waits for the graph, which is unbuilt, that it would promise no more than one that does not.
func ungraphed(refused *fault.Error) *fault.Error {
	return refused.
		WithHint("take the ack at committed: it is durable, and every recall finds it; Watch tells how far the graph is, by EVENT_KIND_GRAPHED")
}

// checkObservation finds why an observation can never be stored; nil when the wire's rules hold. What depends on the
// space (dimension, finite and non-zero vectors) is the decode stage's to check.
func checkObservation(o *engramv1.Observation) *memory.Rejection {
	switch {
	case o == nil:
		return invalid("", "the observation is empty")
	case len(o.GetMemoryId()) > memory.MaxMemoryID:
		return invalid("memory_id", fmt.Sprintf("longer than %d bytes", memory.MaxMemoryID))
	case len(o.GetContent()) > memory.MaxContent:
		return invalid("content", fmt.Sprintf("longer than %d bytes", memory.MaxContent))
	case len(o.GetEmbedding()) > memory.MaxDimension:
		return invalid("embedding", fmt.Sprintf("more than %d components", memory.MaxDimension))
	case len(o.GetEmbeddingF32()) > 4*memory.MaxDimension:
		return invalid("embedding_f32", fmt.Sprintf("longer than %d bytes", 4*memory.MaxDimension))
	case o.Confidence != nil && !(*o.Confidence >= 0 && *o.Confidence <= 1):
		return invalid("confidence", "not from 0 to 1")
	case len(o.GetMetadata()) > memory.MaxMetadataPairs:
		return invalid("metadata", fmt.Sprintf("more than %d pairs", memory.MaxMetadataPairs))
	}
	for key, value := range o.GetMetadata() {
		if problem := checkValue(value); problem != "" {
			return invalid(fmt.Sprintf("metadata[%q]", key), problem)
		}
	}
	return nil
}

func checkValue(v *engramv1.MetadataValue) string {
	switch kind := v.GetKind().(type) {
	case nil:
		return "no value is set"
	case *engramv1.MetadataValue_StringValue:
		if len(kind.StringValue) > memory.MaxMetadataValue {
			return fmt.Sprintf("longer than %d bytes", memory.MaxMetadataValue)
		}
	}
	return ""
}

// checkUnruled finds what the schema's rules do not state: times that are none, and what is not built yet.
func checkUnruled(o *engramv1.Observation) *memory.Rejection {
	if o.GetTtl() != nil {
		return &memory.Rejection{Code: fault.Unimplemented.Code(), Field: "ttl", Reason: "ttl is not built yet; leave it out"}
	}
	return checkTime("observed_at", o.GetObservedAt())
}

func checkTime(field string, t *timestamppb.Timestamp) *memory.Rejection {
	if t == nil || t.IsValid() {
		return nil
	}
	return invalid(field, "not a time from year 1 to 9999")
}

func invalid(field, reason string) *memory.Rejection {
	return &memory.Rejection{Code: fault.InvalidArgument.Code(), Field: field, Reason: reason}
}

// checkTarget finds why a forget can never be applied.
func checkTarget(t *engramv1.ForgetTarget) *memory.Rejection {
	switch n := len(t.GetMemoryIds()); {
	case t.GetFilter() != nil:
		return unbuiltTarget("target.filter")
	case n == 0 && t.GetObservedBefore() == nil:
		return invalid("target", "nothing is named to forget: give memory_ids, observed_before, or both")
	case n > memory.MaxForgetIDs:
		return invalid("target.memory_ids", fmt.Sprintf("%d ids, the most is %d", n, memory.MaxForgetIDs))
	}
	if before := t.GetObservedBefore(); before.IsValid() && before.AsTime().IsZero() {
		// Within the server that is no time at all, which every memory would agree with.
		return invalid("target.observed_before", "nothing is earlier than the first moment of year 1")
	}
	return checkTime("target.observed_before", t.GetObservedBefore())
}

func unbuiltTarget(field string) *memory.Rejection {
	return &memory.Rejection{Code: fault.Unimplemented.Code(), Field: field, Reason: field + " is not built yet; name memory_ids, observed_before, or both"}
}
