package app

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	engramv1 "github.com/engram-stream/engram/proto/gen/engram/v1"
)

// What the frames of a rawFlow hold: vectors of as many components as usual embeddings have, packed or as a list.
const (
	rawWidth  = 768
	rawAhead  = 4 // frames on their way
	rawFrames = 8 // made beforehand, and sent again and again under other numbers
)

// rawFlow is a MemoryFlow over gRPC whose client takes next to no memory of its own: its frames are encoded beforehand, and
// of what comes it reads the acks alone.
type rawFlow struct {
	t           testing.TB
	up          *io.PipeWriter
	down        io.ReadCloser
	frames      [][]byte // ready to be sent but for the number that each ends with
	items       uint64   // in a frame
	sent, acked uint64   // frames, observations
	message     []byte
}

// newRawFlow opens a stream into a space, which sends frames in turn.
func newRawFlow(t testing.TB, s *Server, h *http.Client, space string, items int, frames [][]byte) *rawFlow {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	body, up := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Address()+"/engram.v1.FlowService/MemoryFlow", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/grpc+proto")
	r.Header.Set("TE", "trailers")
	hello := &engramv1.MemoryFlowRequest{Frame: &engramv1.MemoryFlowRequest_Hello{Hello: &engramv1.Hello{Space: space}}}
	text, err := proto.Marshal(hello)
	require.NoError(t, err)
	said := make(chan error, 1)
	go func() {
		_, err := up.Write(enveloped(text))
		said <- err
	}()
	response, err := h.Do(r)
	require.NoError(t, err)
	require.NoError(t, <-said)
	t.Cleanup(func() { require.NoError(t, response.Body.Close()) })
	return &rawFlow{t: t, up: up, down: response.Body, frames: frames, items: uint64(items), message: make([]byte, 64<<10)}
}

// newRawFrames makes frames of so many observations each.
func newRawFrames(frames, items int, packed bool) (all [][]byte) {
	for n := range frames {
		all = append(all, rawFrame(n, items, packed))
	}
	return all
}

// enveloped puts gRPC's head before a message: not compressed, and its length.
func enveloped(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// rawFrame is an enveloped frame of observations with contents and two pairs of metadata. Its last bytes are for the number
// of the first.
func rawFrame(n, items int, packedVectors bool) []byte {
	var batch []byte
	for i := range items {
		text, err := proto.Marshal(rawObservation(n, i, packedVectors))
		if err != nil {
			panic(err)
		}
		batch = protowire.AppendBytes(protowire.AppendTag(batch, 2, protowire.BytesType), text)
	}
	batch = append(protowire.AppendTag(batch, 1, protowire.VarintType), make([]byte, binary.MaxVarintLen64)...)
	return enveloped(protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), batch))
}

func rawObservation(n, i int, packedVectors bool) *engramv1.Observation {
	vector := make([]float32, rawWidth)
	for j := range vector {
		vector[j] = float32((31*n+i+1)*(j+7)%97) - 48
	}
	o := &engramv1.Observation{
		Content: fmt.Sprintf("observation %d of frame %d, some words long, as what is observed has", i, n),
		Metadata: map[string]*engramv1.MetadataValue{
			"source": {Kind: &engramv1.MetadataValue_StringValue{StringValue: "a camera"}},
			"room":   {Kind: &engramv1.MetadataValue_IntValue{IntValue: int64(n)}},
		},
	}
	if packedVectors {
		o.EmbeddingF32 = packed(vector...)
	} else {
		o.Embedding = vector
	}
	return o
}

// send sends the next frame, and waits until no more than rawAhead are on their way.
func (f *rawFlow) send() {
	f.post()
	f.wait(f.sent - min(f.sent, rawAhead))
}

// post sends the next frame.
func (f *rawFlow) post() {
	frame := f.frames[f.sent%uint64(len(f.frames))]
	first := f.sent*f.items + 1
	number := frame[len(frame)-binary.MaxVarintLen64:]
	for i := range number { // a varint of full length, whatever the number
		number[i] = byte(first>>(7*i)) | 0x80
	}
	number[len(number)-1] &= 1
	_, err := f.up.Write(frame)
	require.NoError(f.t, err)
	f.sent++
}

// wait waits until so many frames are acked.
func (f *rawFlow) wait(frames uint64) {
	for f.acked < frames*f.items {
		f.acked = max(f.acked, f.ack())
	}
}

// ack reads the next message, and returns how far it acks; 0 if it is something else.
func (f *rawFlow) ack() (through uint64) {
	_, err := io.ReadFull(f.down, f.message[:5])
	require.NoError(f.t, err)
	message := f.message[:binary.BigEndian.Uint32(f.message[1:5])]
	_, err = io.ReadFull(f.down, message)
	require.NoError(f.t, err)
	number, _, n := protowire.ConsumeTag(message)
	require.NotEqual(f.t, protowire.Number(3), number, "a Nack")
	if number != 2 {
		return 0
	}
	ack, _ := protowire.ConsumeBytes(message[n:])
	for len(ack) > 0 {
		number, kind, n := protowire.ConsumeTag(ack)
		if number == 2 {
			through, _ = protowire.ConsumeVarint(ack[n:])
			return through
		}
		ack = ack[n+protowire.ConsumeFieldValue(number, kind, ack[n:]):]
	}
	return 0
}

// rawCase is a size of frames, an encoding of vectors, and the most that an observation may take: some 15 % more than it was
// when this was written. Frames of 256 fill buffers anew after each collection, so how many bytes they take is left open.
type rawCase struct {
	items          int
	packed         bool
	objects, bytes float64
}

var rawCases = []rawCase{
	{1, true, 100, 10_900},
	{16, true, 29, 8_300},
	{256, true, 22.8, math.Inf(1)},
	{1, false, 100, 10_900},
	{16, false, 29, 8_300},
	{256, false, 22.8, math.Inf(1)},
}

func (c rawCase) name() string {
	if c.packed {
		return fmt.Sprintf("frames of %d, packed", c.items)
	}
	return fmt.Sprintf("frames of %d, as a list", c.items)
}

// measure sends so many observations after a first frame, and returns what each has taken.
func (f *rawFlow) measure(observations int) (objects, bytes float64) {
	f.send()
	f.wait(1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := 0; n < observations; n += int(f.items) {
		f.send()
	}
	f.wait(f.sent)
	runtime.ReadMemStats(&after)
	sent := float64((f.sent - 1) * f.items)
	return float64(after.Mallocs-before.Mallocs) / sent, float64(after.TotalAlloc-before.TotalAlloc) / sent
}

// TestWhatAnObservationAllocates holds the way of an observation, from the wire until it is durable and findable, to the
// numbers of docs/benchmarks/allocations.md. What a client takes is in them, but for its encoding.
func TestWhatAnObservationAllocates(t *testing.T) {
	if raced {
		t.Skip("under the race detector pools drop what they are given; make test runs it without")
	}
	for _, c := range rawCases {
		t.Run(c.name(), func(t *testing.T) {
			f := newRawFlow(t, startServer(t, t.TempDir(), flag("telemetry.metrics", "")), h2c(t), "all", c.items, newRawFrames(rawFrames, c.items, c.packed))
			objects, bytes := f.measure(min(4096, 1024*c.items))
			t.Logf("%.1f objects and %.0f bytes an observation", objects, bytes)
			assert.LessOrEqual(t, objects, c.objects)
			assert.LessOrEqual(t, bytes, c.bytes)
		})
	}
}

// BenchmarkObservation is the processor time of the same, and what it allocates: a loop is one observation.
func BenchmarkObservation(b *testing.B) {
	for _, c := range rawCases {
		b.Run(c.name(), func(b *testing.B) {
			s, h := benchServer(b, flag("telemetry.metrics", ""))
			f := newRawFlow(b, s, h, "all", c.items, newRawFrames(rawFrames, c.items, c.packed))
			used := cpu(b)
			objects, bytes := f.measure(b.N)
			b.ReportMetric(float64(cpu(b)-used)/float64(f.sent*f.items), "cpu-ns/op")
			b.ReportMetric(objects, "objects/op")
			b.ReportMetric(bytes, "B/op")
		})
	}
}
