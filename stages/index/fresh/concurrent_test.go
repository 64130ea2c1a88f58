package fresh

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/sourcegraph/conc"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/engram-stream/engram/internal/simd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One writer publishes batches, each of which also kills the batch before; it grows many blocks and discards tails on
// the way. A reader at any published version must see exactly that version's batch, whole: each vector carries its
// batch's number, and a checksum over it.
func TestReadersSeeWholeBatchesWhileTheTierGrows(t *testing.T) {
	const batches, perBatch, readers = 400, 25, 3
	tier := New(4, Dot)
	one := New(4, Dot) // what a score is of: codes of vectors in one direction differ by their scale alone
	one.Prepare(Entry{Vector: []float32{1, 1, 2, 3}, Birth: 1})
	one.Commit()
	unit, _, err := one.Scan(context.Background(), Query{Vector: []float32{1, 0, 0, 0}, Version: 1, K: 1})
	require.NoError(t, err)
	var published atomic.Uint64 // batch n has the births (n-1)*perBatch+1 to n*perBatch
	var done atomic.Bool
	var group conc.WaitGroup
	for range readers {
		group.Go(func() {
			for !done.Load() {
				version := published.Load()
				if version == 0 {
					continue
				}
				got, _, err := tier.Scan(context.Background(), Query{Vector: []float32{1, 0, 0, 0}, Version: version, K: 2 * perBatch})
				if err != nil || len(got) != perBatch {
					t.Errorf("version %d: %d of %d vectors, %v", version, len(got), perBatch, err)
					return
				}
				for _, c := range got {
					if batch := version / perBatch; math.Abs(float64(c.Score/unit[0].Score)-float64(batch)) > 0.01 || c.Ordinal != c.Birth^batch {
						t.Errorf("version %d: a vector of batch %v, record %d of birth %d", version, c.Score, c.Ordinal, c.Birth)
						return
					}
				}
			}
		})
	}
	write := func(batch uint64) {
		for i := range uint64(perBatch) {
			birth := (batch-1)*perBatch + i + 1
			tier.Prepare(Entry{Vector: []float32{float32(batch), float32(batch), 2 * float32(batch), 3 * float32(batch)}, Birth: birth, Ordinal: birth ^ batch})
		}
	}
	for batch := uint64(1); batch <= batches; batch++ {
		write(batch + 7) // void: as a failed append leaves it
		tier.Discard()
		write(batch)
		tier.Commit()
		if batch > 1 {
			for i := range Slot(perBatch) {
				tier.Kill(Slot(batch-2)*perBatch+i, (batch-1)*perBatch+1)
			}
		}
		published.Store(batch * perBatch)
	}
	done.Store(true)
	group.Wait()
	require.Equal(t, batches*perBatch, tier.Len())
}

// One writer commits and releases as it goes, as where a graph takes slots over; readers scan from the slot that is handed over
// at the version they see, and read codes and records. What a reader should see and does not is released since.
func TestReadersGoOnWhileSlotsAreReleased(t *testing.T) {
	const dimension, perBatch, batches, readers, behind = 256, 512, 40, 2, 3 * largestBlock / 2
	tier := New(dimension, L2)
	vectors := gaussians(rand.New(rand.NewPCG(1, 2)), dimension, perBatch)
	type handed struct {
		version uint64
		from    Slot
	}
	var published atomic.Pointer[handed]
	var done atomic.Bool
	var group conc.WaitGroup
	for reader := range readers {
		group.Go(func() {
			for !done.Load() {
				view := published.Load()
				if view == nil {
					continue
				}
				slot := Slot(view.version) - Slot(reader) - 1
				q := Query{Vector: vectors[slot%perBatch], Version: view.version, K: 1, From: view.from}
				got, compared, err := tier.Scan(context.Background(), q)
				first := released(tier)
				switch {
				case err != nil || len(got) != 1:
					t.Errorf("%d found, %v", len(got), err)
				case first <= view.from && compared != int(view.version)-int(view.from):
					t.Errorf("%d compared of %d to %d", compared, view.from, view.version)
				case got[0].Slot%perBatch != slot%perBatch || got[0].Slot < view.from:
					t.Errorf("slot %d instead of one like %d", got[0].Slot, slot)
				}
				if slot >= released(tier) { // the writer stays behind: what is the newest is not released meanwhile
					code, factors := tier.Code(slot)
					if int(simd.DotInt8(code, code)) != int(factors.Squared) {
						t.Errorf("the code of slot %d is not what stands beside it", slot)
					}
				}
				if r := tier.Record(0); r.Birth != 1 || r.Ordinal != 3 {
					t.Errorf("the first record has become %v", r)
				}
				runtime.KeepAlive(tier)
			}
		})
	}
	for batch := range uint64(batches) {
		for i := range uint64(perBatch) {
			birth := batch*perBatch + i + 1
			tier.Prepare(Entry{Vector: vectors[i], Birth: birth, Ordinal: birth * 3})
		}
		tier.Commit()
		through := Slot(max(0, tier.Len()-behind))
		published.Store(&handed{version: (batch + 1) * perBatch, from: through})
		tier.Release(through)
		runtime.GC() // what is released and not held is given back
	}
	done.Store(true)
	group.Wait()
	require.Equal(t, Slot(growingSlots+2*largestBlock), released(tier))
	require.NotNil(t, tier.Frame())
	require.Panics(t, func() { tier.Code(released(tier) - 1) })
}

// released returns the slot from which on there are codes.
func released(t *Tier) Slot { return t.directory.Load().firstCoded() }
