package graph

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// loadFades is how far back a key's load looks: what lies so long ago counts a third.
	loadFades = 10 * time.Second
	// trackedKeys bounds of how many keys a node knows the time that they take. A key that takes more than a trackedKeys-th of
	// what its workers do is always among them.
	trackedKeys = 64
	// mostFaded is after how many times loadFades the sums are made small again, long before they overflow.
	mostFaded = 30
)

// KeyLoad is what a key is to the workers of one node, now.
type KeyLoad struct {
	Node   string
	Queued Window  // what waits in front of it
	Busy   float64 // 0 to 1: the part of the last seconds that a worker had a batch of the key in hand; at least so much
}

// HeaviestKeys returns the keys of which most is queued in front of a node, up to n a node, and those that are busiest there,
// n again at most; each once, sorted. It looks at each key that waits.
func (e *Engine) HeaviestKeys(n int) []string {
	var keys []string
	for _, h := range e.hosts {
		if h.edge != nil {
			keys = append(append(keys, h.edge.deepestKeys(n)...), h.busiestKeys(n)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// LoadOf returns the loads of a key, in topological order, without those that are zero.
func (e *Engine) LoadOf(key string) []KeyLoad {
	var loads []KeyLoad
	for _, h := range e.hosts {
		if h.edge == nil {
			continue
		}
		l := KeyLoad{Node: h.name, Queued: h.edge.queuedOf(key), Busy: h.busyWith(key)}
		if l.Queued != (Window{}) || l.Busy > 0 {
			loads = append(loads, l)
		}
	}
	return loads
}

// busyWith is how busy the node's workers are with a key, what one has in hand included.
func (h *host) busyWith(key string) float64 {
	now := h.engine.now()
	busy := h.busy.share(key, now)
	for _, s := range h.seats {
		if held, since, full := s.hand.look(); full && held == key {
			busy += fading(since, now, now) / fading(0, now, now)
		}
	}
	return min(busy, 1)
}

func (h *host) busiestKeys(n int) []string {
	keys := h.busy.top(n)
	for _, s := range h.seats {
		if held, _, full := s.hand.look(); full && held != "" {
			keys = append(keys, held)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(h.busyWith(b), h.busyWith(a)) })
	return keys[:min(n, len(keys))]
}

// busyKeys finds the keys that take most of the workers' time: the Space-Saving sketch (Metwally, Agrawal and El Abbadi, ICDT 2005)
// over times that fade. A key without a place takes that of the key with the least, and that one's sum as what it may owe. Sums
// are as of a landmark, so that nothing has to be done for them to fade. The zero value is ready, and safe for concurrent use.
type busyKeys struct {
	mu       sync.Mutex
	places   map[string]int // guarded by mu; in tracked
	tracked  []trackedKey   // guarded by mu
	landmark time.Duration  // guarded by mu
}

type trackedKey struct {
	key       string
	sum, owed float64 // see fading
}

// fading is what the time between two moments counts as of a third, where all time until then counts 1.
func fading(from, to, at time.Duration) float64 { return faded(to-at) - faded(from-at) }

func faded(d time.Duration) float64 { return math.Exp(d.Seconds() / loadFades.Seconds()) }

// add counts a stretch of time to a key.
func (b *busyKeys) add(key string, from, to time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if to-b.landmark > mostFaded*loadFades {
		b.move(to)
	}
	k := b.track(key)
	k.sum += fading(from, to, b.landmark)
}

func (b *busyKeys) track(key string) *trackedKey {
	if at, known := b.places[key]; known {
		return &b.tracked[at]
	}
	if b.places == nil {
		b.places = make(map[string]int)
	}
	if len(b.tracked) < trackedKeys {
		b.places[key] = len(b.tracked)
		b.tracked = append(b.tracked, trackedKey{key: key})
		return &b.tracked[len(b.tracked)-1]
	}
	least := 0
	for i := range b.tracked {
		if b.tracked[i].sum < b.tracked[least].sum {
			least = i
		}
	}
	k := &b.tracked[least]
	delete(b.places, k.key)
	b.places[key] = least
	k.key, k.owed = key, k.sum
	return k
}

func (b *busyKeys) move(landmark time.Duration) {
	scale := faded(b.landmark - landmark)
	for i := range b.tracked {
		b.tracked[i].sum *= scale
		b.tracked[i].owed *= scale
	}
	b.landmark = landmark
}

// share is a key's part of the time until now, of what there was of it.
func (b *busyKeys) share(key string, now time.Duration) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, known := b.places[key]
	if !known || now <= 0 {
		return 0
	}
	k := &b.tracked[at]
	return (k.sum - k.owed) * faded(b.landmark-now) / fading(0, now, now)
}

// top returns up to n keys, those first that certainly took most.
func (b *busyKeys) top(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.tracked)
	slices.SortFunc(all, func(x, y trackedKey) int { return cmp.Compare(y.sum-y.owed, x.sum-x.owed) })
	keys := make([]string, 0, n)
	for _, k := range all[:min(n, len(all))] {
		keys = append(keys, k.key)
	}
	return keys
}

// hand is what a worker has in hand, and how long it had something. Safe for concurrent use.
type hand struct {
	mu    sync.Mutex
	full  bool          // guarded by mu
	key   string        // guarded by mu; of the batch
	since time.Duration // guarded by mu; engine time
	sum   time.Duration // guarded by mu; of what it had before
}

func (h *hand) take(key string, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full, h.key, h.since = true, key, now
}

// put empties the hand and returns since when it was full.
func (h *hand) put(now time.Duration) (since time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = false
	h.sum += now - h.since
	return h.since
}

func (h *hand) look() (key string, since time.Duration, full bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.key, h.since, h.full
}

// read is how long it has been full, up to now.
func (h *hand) read(now time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.full {
		return h.sum + now - h.since
	}
	return h.sum
}
