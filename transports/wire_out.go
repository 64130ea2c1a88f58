package transports

import (
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// controlToWire translates one control frame of the outbox.
func controlToWire(c session.Control) *engramv1.MemoryFlowResponse {
	switch {
	case c.Ack != nil:
		return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Ack{Ack: ackToWire(c.Ack)}}
	case c.Nack != nil:
		return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Nack{Nack: nackToWire(c.Nack)}}
	case c.Credit != nil:
		return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Credit{Credit: creditToWire(c.Credit)}}
	case c.Pong != nil:
		return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_Pong{Pong: &engramv1.Pong{Nonce: c.Pong.Nonce}}}
	case c.GoAway != nil:
		return &engramv1.MemoryFlowResponse{Frame: &engramv1.MemoryFlowResponse_GoAway{GoAway: goAwayToWire(c.GoAway)}}
	}
	panic("transports: a control frame with nothing set")
}

func ackToWire(a *session.Ack) *engramv1.Ack {
	return &engramv1.Ack{
		AcceptedThrough: a.Accepted, CommittedThrough: a.Committed,
		Rejected: rejectionsToWire(a.Rejected, 0), CommitVersion: uint64(a.Version),
	}
}

func nackToWire(n *session.Nack) *engramv1.Nack {
	return &engramv1.Nack{
		ExpectedSequence: n.Expected, Reason: engramv1.Nack_Reason(n.Reason), RetryAfter: durationToWire(n.Retry),
		QueueFill: float32(n.Fill), Message: n.Message,
	}
}

func creditToWire(c *session.Credit) *engramv1.Credit {
	return &engramv1.Credit{
		SequenceLimit: c.SequenceLimit, ByteLimit: c.ByteLimit, State: engramv1.Credit_State(c.State),
		QueueFill: float32(c.Fill), RetryAfter: durationToWire(c.Retry), ReasonStage: c.Stage,
	}
}

func goAwayToWire(g *session.GoAway) *engramv1.GoAway {
	return &engramv1.GoAway{
		Reason: engramv1.GoAway_Reason(g.Reason), CommittedThrough: g.Committed, ReconnectAfter: durationToWire(g.Reconnect),
	}
}

// rejectionsToWire lowers every range by base: 0 for a stream's numbers, 1 for the indexes of a unary request.
func rejectionsToWire(ranges []session.RejectedRange, base uint64) []*engramv1.Rejection {
	if len(ranges) == 0 {
		return nil
	}
	out := make([]*engramv1.Rejection, len(ranges))
	for i, r := range ranges {
		out[i] = &engramv1.Rejection{
			Range: &engramv1.SequenceRange{First: r.First - base, Last: r.Last - base},
			Code:  r.Code, Reason: r.Reason, Field: r.Field,
		}
	}
	return out
}

func hitsToWire(hits []memory.Hit) []*engramv1.Hit {
	out := make([]*engramv1.Hit, len(hits))
	for i := range hits {
		out[i] = hitToWire(&hits[i])
	}
	return out
}

func hitToWire(h *memory.Hit) *engramv1.Hit {
	return &engramv1.Hit{
		MemoryId: h.ID, Score: h.Score, Confidence: h.Confidence, State: engramv1.HitState(h.State),
		Version: uint64(h.Version), ObservedAt: timeToWire(h.ObservedAt), ReceivedAt: timeToWire(h.ReceivedAt),
		Content: h.Content, Metadata: metadataToWire(h.Metadata), EmbeddingF32: pack(h.Embedding),
	}
}

// hitBytes estimates what a hit weighs on the wire and in the queue before it.
func hitBytes(h *memory.Hit) int { return itemOverhead/2 + 16*len(h.Metadata) + h.Payload() }

func metadataToWire(in map[string]memory.Value) map[string]*engramv1.MetadataValue {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]*engramv1.MetadataValue, len(in))
	for key, value := range in {
		out[key] = valueToWire(value)
	}
	return out
}

func valueToWire(v memory.Value) *engramv1.MetadataValue {
	switch x := v.(type) {
	case string:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_StringValue{StringValue: x}}
	case int64:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_IntValue{IntValue: x}}
	case float64:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_DoubleValue{DoubleValue: x}}
	case bool:
		return &engramv1.MetadataValue{Kind: &engramv1.MetadataValue_BoolValue{BoolValue: x}}
	}
	return &engramv1.MetadataValue{}
}

func pack(vector []float32) []byte {
	if len(vector) == 0 {
		return nil
	}
	out := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

func timeToWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func durationToWire(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
