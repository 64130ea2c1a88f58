package decode

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/engram-stream/engram/graph"
	"github.com/engram-stream/engram/graph/graphtest"
	"github.com/engram-stream/engram/internal/memory"
	"github.com/engram-stream/engram/internal/session"
)

// TestPackedVectorsAreNotCopied: the vector of an op is the memory that it came in, unless float32 cannot lie there.
func TestPackedVectorsAreNotCopied(t *testing.T) {
	raw := pack(1, -2, 0.5)
	assert.Equal(t, []float32{1, -2, 0.5}, floats(raw))
	assert.Equal(t, littleEndian, unsafe.Pointer(unsafe.SliceData(floats(raw))) == unsafe.Pointer(unsafe.SliceData(raw)))
	for shift := range componentBytes {
		moved := append(make([]byte, shift, shift+len(raw)), raw...)[shift:]
		assert.Equal(t, []float32{1, -2, 0.5}, floats(moved), "%d bytes off", shift)
		assert.Equal(t, floats(moved), unpacked(moved))
	}
}

// TestObservationsOfAMessageShareMemory, in their order and each with a name and values of its own, where all bring vectors.
func TestObservationsOfAMessageShareMemory(t *testing.T) {
	for name, c := range map[string]struct {
		text   bool
		shared bool
	}{"vectors": {false, true}, "a text among them": {true, false}} {
		t.Run(name, func(t *testing.T) {
			items := make([]session.Incoming, 12)
			for i := range items {
				items[i] = *incoming(session.RawObservation{Embedding: []float32{1, 2, float32(i)}, Content: string(rune('a' + i))})
				items[i].Sequence = uint64(i + 1)
			}
			items[3].Observe.ID = "mine"
			if c.text {
				items[5].Observe.Embedding = nil
			}
			s := &stage{embedding: noEmbedder, spaces: graph.NewHandle[Spaces](spaceList{"faces": faces})}
			in, _ := graphtest.NewBatch(items...)
			port := graphtest.NewPort[session.Op](1)
			require.NoError(t, s.Process(t.Context(), in, port))
			ops := port.Sent()[0].Batch.Items
			require.Len(t, ops, len(items))
			for i, op := range ops {
				want := decode(&items[i], vectors(&faces))
				if c.text && i == 5 {
					require.Equal(t, memory.OpRejected, op.Kind)
					continue
				}
				assert.Equal(t, want, op)
			}
			var r room
			r.grow(items)
			assert.Equal(t, c.shared, len(r.observations) == len(items))
		})
	}
}
