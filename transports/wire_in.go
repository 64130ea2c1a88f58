package transports

import (
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/internal/fault"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// itemOverhead is what an item weighs in memory beside its payload, in bytes: structs, map and slice headers.
const itemOverhead = 256

// idOverhead is what an id in a forget weighs beside its bytes: its string header. An item weighs no less than its bytes
// on the wire, which its client counts: else the client could use its credit up before any is granted again.
const idOverhead = 16

// observeOffer translates observations numbered from first on. What cannot be translated goes on as malformed, since
// it consumes its number. Slices, strings and maps of the messages are shared, not copied. textBytes is what the vector of
// one without will weigh.
func observeOffer(from *session.Attachment, first uint64, observations []*engramv1.Observation, textBytes int, received time.Time, settler graph.Settler) graph.Offer[session.Incoming] {
	offer := graph.Offer[session.Incoming]{
		Items:   make([]session.Incoming, len(observations)),
		Bytes:   make([]int32, len(observations)),
		Settler: settler,
	}
	raw := make([]session.RawObservation, len(observations)) // gone all at once, when they are decoded
	for i, o := range observations {
		offer.Items[i] = session.Incoming{
			From: from, Sequence: first + uint64(i), Received: received, EndOfFrame: i == len(observations)-1,
		}
		offer.Items[i].Observe, offer.Items[i].Malformed = &raw[i], observationFromWire(&raw[i], o)
		offer.Bytes[i] = weight(o, textBytes)
	}
	return offer
}

// forgetOffer translates one forget.
func forgetOffer(from *session.Attachment, sequence uint64, target *engramv1.ForgetTarget, received time.Time, settler graph.Settler) graph.Offer[session.Incoming] {
	bytes := itemOverhead
	for _, id := range target.GetMemoryIds() {
		bytes += len(id) + idOverhead
	}
	return graph.Offer[session.Incoming]{
		Items: []session.Incoming{{
			From: from, Sequence: sequence, Received: received, EndOfFrame: true,
			Forget: forgetFromWire(target, received), Malformed: checkTarget(target),
		}},
		Bytes:   []int32{int32(min(bytes, math.MaxInt32))},
		Settler: settler,
	}
}

func forgetFromWire(t *engramv1.ForgetTarget, received time.Time) *memory.Forget {
	return &memory.Forget{IDs: t.GetMemoryIds(), ObservedBefore: timeFromWire(t.GetObservedBefore()), ReceivedAt: received}
}

// payload sums the weights of an offer, in bytes.
func payload(o graph.Offer[session.Incoming]) uint64 {
	var bytes uint64
	for _, b := range o.Bytes {
		bytes += uint64(b)
	}
	return bytes
}

// observationFromWire fills to, of one that is malformed no more than its id.
func observationFromWire(to *session.RawObservation, o *engramv1.Observation) *memory.Rejection {
	to.ID = o.GetMemoryId()
	if malformed := checkObservation(o); malformed != nil {
		return malformed
	}
	if malformed := checkUnruled(o); malformed != nil {
		return malformed
	}
	to.Content = o.GetContent()
	to.Metadata = metadataFromWire(o.GetMetadata())
	to.ObservedAt = timeFromWire(o.GetObservedAt())
	to.Confidence = o.Confidence
	to.Embedding = o.GetEmbedding()
	to.EmbeddingF32 = o.GetEmbeddingF32()
	return nil
}

func metadataFromWire(in map[string]*engramv1.MetadataValue) map[string]memory.Value {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]memory.Value, len(in))
	for key, value := range in {
		out[key] = valueFromWire(value)
	}
	return out
}

func valueFromWire(v *engramv1.MetadataValue) memory.Value {
	switch kind := v.GetKind().(type) {
	case *engramv1.MetadataValue_StringValue:
		return kind.StringValue
	case *engramv1.MetadataValue_IntValue:
		return kind.IntValue
	case *engramv1.MetadataValue_DoubleValue:
		return kind.DoubleValue
	case *engramv1.MetadataValue_BoolValue:
		return kind.BoolValue
	}
	return nil
}

func timeFromWire(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// weight is what an observation holds in memory until it is durable and published, in bytes.
func weight(o *engramv1.Observation, textBytes int) int32 {
	bytes := itemOverhead + len(o.GetMemoryId()) + len(o.GetContent()) + 4*len(o.GetEmbedding()) + len(o.GetEmbeddingF32())
	if len(o.GetEmbedding()) == 0 && len(o.GetEmbeddingF32()) == 0 {
		bytes += textBytes
	}
	for key, value := range o.GetMetadata() {
		bytes += len(key) + len(value.GetStringValue()) + itemOverhead/8
	}
	return int32(min(bytes, math.MaxInt32))
}

// queryFromWire translates a query whose rules have been checked; limit is the largest it may ask for.
func queryFromWire(q *engramv1.RecallQuery, limit int) (memory.Query, error) {
	if err := unbuiltQuery(q); err != nil {
		return memory.Query{}, err
	}
	vector, err := queryVector(q)
	if err != nil {
		return memory.Query{}, err
	}
	out := memory.Query{
		Vector: vector, Text: q.GetText(), Limit: int(q.GetLimit()), MinScore: q.MinScore, Ef: int(q.GetEf()), Exact: q.GetExact(),
		IncludeContent: q.GetIncludeContent(), IncludeEmbedding: q.GetIncludeEmbedding(),
	}
	if out.Limit == 0 {
		out.Limit = min(memory.DefaultLimit, limit)
	}
	if out.Limit > limit {
		return memory.Query{}, badQuery("limit", "%d hits asked for, the most is %d", out.Limit, limit)
	}
	return out, nil
}

// queryVector returns the query's vector; nil where it has a text instead.
func queryVector(q *engramv1.RecallQuery) ([]float32, error) {
	if q.GetText() == "" {
		return vectorFromWire(q.GetEmbedding(), q.GetEmbeddingF32())
	}
	if len(q.GetEmbedding()) > 0 || len(q.GetEmbeddingF32()) > 0 {
		return nil, badQuery("text", "the query has both a text and a vector").WithHint("send one of them")
	}
	return nil, nil
}

func unbuiltQuery(q *engramv1.RecallQuery) error {
	switch {
	case q.GetFilter() != nil:
		return unbuilt("query.filter")
	case q.GetVisibility() == engramv1.Visibility_VISIBILITY_COMMITTED_AND_RECENT:
		return unbuilt("query.visibility COMMITTED_AND_RECENT").WithField("query.visibility")
	case q.GetAtVersion() != 0:
		return unbuilt("query.at_version")
	case q.GetAfterSequence() != 0:
		return unbuilt("query.after_sequence")
	case q.GetMaxWait() != nil:
		return unbuilt("query.max_wait")
	case q.GetExplain():
		return unbuilt("query.explain")
	}
	return nil
}

func badQuery(field, format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidArgument, format, args...).WithField("query." + field).WithReason("INVALID_QUERY")
}

// vectorFromWire reads the one encoding that is set. Its dimension is the index's to compare.
func vectorFromWire(list []float32, packed []byte) ([]float32, error) {
	switch {
	case len(list) > 0 && len(packed) > 0:
		return nil, badQuery("embedding", "embedding and embedding_f32 are both set").WithHint("send one of them")
	case len(list) == 0 && len(packed) == 0:
		return nil, badQuery("embedding", "the query has no vector and no text").WithHint("send embedding, embedding_f32, or text")
	case len(packed)%4 != 0:
		return nil, badQuery("embedding_f32", "%d bytes are no whole number of float32", len(packed))
	}
	field := "embedding"
	if len(packed) > 0 {
		field, list = "embedding_f32", unpack(packed)
	}
	for i, x := range list {
		if x-x != 0 { // NaN for NaN and for the infinities
			return nil, badQuery(field, "component %d is not a finite number", i)
		}
	}
	return list, nil
}

func unpack(packed []byte) []float32 {
	out := make([]float32, len(packed)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[4*i:]))
	}
	return out
}
