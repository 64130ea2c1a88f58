package hnsw

import "sync/atomic"

const (
	// sampleEvery is how many items share one sample.
	sampleEvery = 64
	// sampleNearest is how many of the nearest a sample counts.
	sampleNearest = 10
	// sampleEnough is how many are counted before ef changes.
	sampleEnough = 64 * sampleNearest
	// Of the nearest that a walk with twice the ef finds, the walk with ef finds a part between these.
	sampleLow, sampleHigh = 0.978, 0.990
)

// tuner keeps ef so large that walks find most of what they would with more: the denser the vectors lie, the larger it has to
// be. It knows nothing but the batches, so the same ones lead to the same ef.
type tuner struct {
	least, most int // most 0: ef stays
	counted     atomic.Int64
	found       atomic.Int64
}

// Adapt has ef follow the density of what is inserted, from least to most. One in sixty-four walks is then done twice.
func (b *Builder) Adapt(least, most int) {
	b.tuner.least, b.tuner.most = max(least, 8), most
	b.ef = min(max(b.ef, b.tuner.least), most)
}

// adapt returns the ef that follows from the samples so far.
func (t *tuner) adapt(ef int) int {
	counted := t.counted.Load()
	if counted < sampleEnough {
		return ef
	}
	part := float64(t.found.Load()) / float64(counted)
	t.counted.Store(0)
	t.found.Store(0)
	switch {
	case part < sampleLow:
		return min(ef+ef/4, t.most)
	case part > sampleHigh:
		return max(ef-ef/8, t.least)
	default:
		return ef
	}
}

// sample walks again with twice the ef, and counts how many of what was found before are as near as the nearest of these: which of
// several equals a walk finds says nothing. The pool stays as it was.
func (l *linker) sample() {
	t := &l.builder.tuner
	l.kept = append(l.kept[:0], l.pool...)
	found := append([]Found(nil), l.nearest()...)
	l.walk(0, 2*l.builder.ef, l.last)
	nearest := l.nearest()
	t.counted.Add(int64(len(nearest)))
	for _, f := range found {
		if f.Distance <= nearest[len(nearest)-1].Distance {
			t.found.Add(1)
		}
	}
	l.pool = append(l.pool[:0], l.kept...)
}

// nearest returns the nearest of the pool.
func (l *linker) nearest() []Found {
	found := l.rank()
	return found[:min(sampleNearest, len(found))]
}
